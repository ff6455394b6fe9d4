// @ts-check
/**
 * How the other end of a link broke the protocol.
 *
 * @module
 */

/** The link is of no use any more. */
export class LinkError extends Error {}

/** It claims to have what was never sent. */
export function neverSent() {
  return new LinkError("bad_frame: an acknowledgement of what was never sent");
}

/** It brought what its origin has not said, or not here. */
export class Forged extends LinkError {}

/** It brought what its origin has not said, or not here. */
export function forged() {
  return new Forged("forged: it passed on what its origin did not say");
}

/** A frame that does not belong on a link's lossy lane. */
export function wrongLane() {
  return new LinkError("bad_frame: a frame that is not lossy on the lossy lane");
}

/** A frame that does not belong on a link's reliable lane, or not yet. */
export function helloOutOfPlace() {
  return new LinkError("bad_frame: a frame before HELLO, or a second HELLO");
}
