// @ts-check
/**
 * Rooms of many: join a room by its address and reach everyone in it over WebRTC.
 *
 * ```js
 * import { join } from "/sdk/roomful.js";
 *
 * const room = await join("https://example.org/standup", { name: "Ada" });
 * const chat = room.channel("chat");
 * await chat.send({ text: "hi" });
 * for await (const { from, data } of chat) console.log(from.name, data.text);
 * ```
 *
 * @module
 */

import { Room } from "./room.js";
import { importSecret } from "./secret.js";
import { Signer } from "./signer.js";
import { socketAddress } from "./socket.js";

export { RoomError } from "./errors.js";
export { Room } from "./room.js";
export { Channel } from "./room/channel.js";
export * from "./room/events.js";
export { Member } from "./room/member.js";
export { RoomState } from "./room/state.js";
export { newKey } from "./secret.js";

/** @typedef {import("./driver.js").TokenSource} TokenSource */
/** @typedef {import("./errors.js").RoomErrorCode} RoomErrorCode */
/** @typedef {import("./room.js").Handler} Handler */
/** @typedef {import("./room.js").Topology} Topology */
/** @typedef {import("./room/channel.js").ChannelMode} ChannelMode */
/** @typedef {import("./room/member.js").Link} Link */
/** @typedef {import("./room/member.js").LinkState} LinkState */
/** @typedef {import("./secrecy.js").UnreadableReason} UnreadableReason */
/** @typedef {import("./wire.js").GoneReason} GoneReason */
/** @typedef {import("./wire.js").RefusalCode} RefusalCode */

/**
 * How to enter a room.
 *
 * @typedef {object} JoinOptions
 * @property {string} [name] the display name, at most 64 characters without the white space at its ends; `guest` unless said
 *   otherwise, or where nothing is left. A token may give another.
 * @property {TokenSource} [token] a signed token where the server wants one, or a function that fetches a fresh one
 *   each time that the server is asked to let the member in
 * @property {Record<string, string>} [attributes] what the member says of itself to everybody
 * @property {AbortSignal} [signal] gives up entering; has no effect once the room is entered
 * @property {string} [topology] how the room is to be linked, as in {@link Room.pin}: asked for on entering, and passed over
 *   where this member may not choose
 */

/** What the server's log calls this software. */
const AGENT = "roomful.js/0.1.0";

/**
 * Enters a room. Fulfilled when the server has let the member in; links to the others open from then on.
 *
 * @param {string | URL} address the room's: `https://host/room`, or relative to the page. What follows `#` stays here; a key
 *   there (`#key=…`, see {@link newKey}) makes the room secret: what members say is sealed from end to end.
 * @param {JoinOptions} [options]
 * @returns {Promise<Room>}
 * @throws {RoomError} `bad_address`, `bad_room`, `bad_key`, `insecure` (a key, on a page that cannot encrypt), `unreachable`
 *   (after 15 s), `token_failed`, or the server's refusal
 */
export async function join(address, { name = "guest", token, attributes = {}, signal, topology } = {}) {
  signal?.throwIfAborted();
  const { url, room, key } = socketAddress(address, globalThis.location?.href);
  const secret = key && (await importSecret(key));
  const text = (/** @type {unknown} */ value) => `${value}`.toWellFormed();
  const own = Object.fromEntries(Object.entries(attributes).map(([key, value]) => [text(key), text(value)]));
  const signer = await Signer.create();
  signal?.throwIfAborted();
  const entry = { url, room, secret, name: text(name), token, attributes: own, topology, agent: AGENT, signer };
  return new Room(entry)._enter(signal);
}
