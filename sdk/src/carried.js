// @ts-check
/**
 * What a hub carries from one member to another whom no connection joins: binary messages on their WebSockets. The twin of
 * `crates/room/src/wire/carried.rs`.
 *
 * @module
 */

import { FrameError, Reader, putVarint, varintLength } from "./frame.js";
