// @ts-check
/**
 * What a room, a channel and the shared state dispatch. Fields are on the event itself: `event.member`.
 *
 * @module
 */

/** @import {RefusalCode, GoneReason} from "../wire.js" */
/** @import {UnreadableReason} from "../secrecy.js" */
/** @import {Member, LinkState} from "./member.js" */

/**
 * An `EventTarget` that knows the types of its events.
 *
 * @template {{ [type: string]: Event }} Events
 */
export class Emitter extends EventTarget {
  /**
   * @override
   * @template {keyof Events & string} Type
   * @param {Type} type
   * @param {((event: Events[Type]) => void) | { handleEvent(event: Events[Type]): void } | null} listener
   * @param {AddEventListenerOptions | boolean} [options]
   */
  addEventListener(type, listener, options) {
    super.addEventListener(type, /** @type {EventListener} */ (listener), options);
  }

  /**
   * @override
   * @template {keyof Events & string} Type
   * @param {Type} type
   * @param {((event: Events[Type]) => void) | { handleEvent(event: Events[Type]): void } | null} listener
   * @param {EventListenerOptions | boolean} [options]
   */
  removeEventListener(type, listener, options) {
    super.removeEventListener(type, /** @type {EventListener} */ (listener), options);
  }
}

/** `memberjoin`, `memberupdate`: somebody entered; their attributes changed (one's own too). */
export class MemberEvent extends Event {
  /**
   * @param {"memberjoin" | "memberupdate"} type
   * @param {Member} member
   */
  constructor(type, member) {
    super(type);
    /** Who. */
    this.member = member;
  }
}

/** `memberleave`: somebody left; nothing of theirs comes after this. */
export class MemberLeaveEvent extends Event {
  /**
   * @param {Member} member
   * @param {GoneReason} reason
   */
  constructor(member, reason) {
    super("memberleave");
    /** Who. */
    this.member = member;
    /** `left`, `crashed`, `unresponsive`, `timeout`, `replaced` or `removed`. */
    this.reason = reason;
  }
}

/** `link`: the connection to a member changed. */
export class LinkEvent extends Event {
  /** @param {Member} member */
  constructor(member) {
    super("link");
    /** With whom. */
    this.member = member;
    /** `connecting`, `open`, `suspect`, `failed` or `closed`. @type {LinkState} */
    this.state = member.link.state;
    /** `host`, `reflexive`, `relayed` or `socket` (through the server), where open. @type {string | undefined} */
    this.path = member.link.path;
    /** Round-trip time in milliseconds, where measured. @type {number | undefined} */
    this.rtt_ms = member.link.rtt_ms;
    /** In plain words, where failed or closed. @type {string | undefined} */
    this.reason = member.link.reason;
  }
}

/** `gap`: chunks of a member's messages will never come, since a bound was exceeded. */
export class GapEvent extends Event {
  /**
   * @param {Member} member
   * @param {number} from_seq
   * @param {number} to_seq
   */
  constructor(member, from_seq, to_seq) {
    super("gap");
    /** Whose messages. */
    this.member = member;
    /** The number of the first chunk lost. */
    this.from_seq = from_seq;
    /** The number of the last chunk lost. */
    this.to_seq = to_seq;
  }
}

/** What to do about it. @type {Record<UnreadableReason, string>} */
const UNREADABLE_HINTS = {
  no_key: "enter with the whole address of the room, which ends in #key=…",
  wrong_key: "compare the ends of your addresses: all need the same #key=…",
  not_sealed: "give them the whole address of the room, which ends in #key=…",
  replayed: "the server or a member that passes on messages is not to be trusted",
};

/** `unreadable`: what a member says cannot be read, or not be believed, and is not delivered; once for each reason. */
export class UnreadableEvent extends Event {
  /**
   * @param {Member | undefined} member
   * @param {UnreadableReason} reason
   */
  constructor(member, reason) {
    super("unreadable");
    /** Who says it; undefined: these are entries of the shared state, of which only the server says who wrote them. */
    this.member = member;
    /** `no_key`, `wrong_key`, `not_sealed` or `replayed`. */
    this.reason = reason;
    /** What to do about it. */
    this.hint = UNREADABLE_HINTS[reason];
  }
}

/** `topologychange`: the room is linked in another way. */
export class TopologyEvent extends Event {
  /**
   * @param {string} from
   * @param {string} to
   */
  constructor(from, to) {
    super("topologychange");
    /** The topology before. */
    this.from = from;
    /** The topology now. */
    this.to = to;
  }
}

/** `pinchange`: somebody wants the room linked in a way, or nobody does any more. */
export class PinEvent extends Event {
  /** @param {string} pinned */
  constructor(pinned) {
    super("pinchange");
    /** What it is to be: a topology, or `auto`: what fits. */
    this.pinned = pinned;
  }
}

/** `reconnecting`: the server is out of reach; links to the other members go on. */
export class ReconnectingEvent extends Event {
  /** @param {string} reason */
  constructor(reason) {
    super("reconnecting");
    /** In plain words. */
    this.reason = reason;
  }
}

/** `reconnected`: the server is back. */
export class ReconnectedEvent extends Event {
  /** @param {boolean} resumed */
  constructor(resumed) {
    super("reconnected");
    /** Whether the server had kept the session. */
    this.resumed = resumed;
  }
}

/** `refused`: the server did not do what it was asked; the member stays in the room. */
export class RefusedEvent extends Event {
  /**
   * @param {RefusalCode} code
   * @param {string} message
   * @param {string} hint
   */
  constructor(code, message, hint) {
    super("refused");
    /** A stable name. */
    this.code = code;
    /** One plain sentence. */
    this.message = message;
    /** What to do about it. */
    this.hint = hint;
  }
}

/** `close`: out of the room, for good. The last event of a room. */
export class RoomCloseEvent extends Event {
  /**
   * @param {RefusalCode | undefined} code
   * @param {string} reason
   * @param {string} hint
   */
  constructor(code, reason, hint) {
    super("close");
    /** The server's refusal, where there was one. */
    this.code = code;
    /** In plain words. */
    this.reason = reason;
    /** What to do about it; may be empty. */
    this.hint = hint;
  }
}

/**
 * `message` of a channel.
 *
 * @template [Data=any]
 */
export class ChannelMessageEvent extends Event {
  /**
   * @param {Member} from
   * @param {Data} data
   */
  constructor(from, data) {
    super("message");
    /** Who sent it. */
    this.from = from;
    /** What was sent. */
    this.data = data;
  }
}

/** `messageerror` of a channel: a message came that is not a value. */
export class ChannelErrorEvent extends Event {
  /**
   * @param {Member} from
   * @param {Error} error
   */
  constructor(from, error) {
    super("messageerror");
    /** Who sent it. */
    this.from = from;
    /** What is wrong with it. */
    this.error = error;
  }
}

/** `change` of the shared state. */
export class StateChangeEvent extends Event {
  /**
   * @param {string} key
   * @param {any} value
   * @param {Member | undefined} by
   */
  constructor(key, value, by) {
    super("change");
    /** Which entry. */
    this.key = key;
    /** Its value; undefined where it was removed. */
    this.value = value;
    /** Who wrote it; undefined where they are not known (any more). */
    this.by = by;
  }
}
