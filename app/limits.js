// @ts-check
// Every bound of the app, by name. What members send is theirs to choose, so all of it is cut here.

/** Entries of the log that stay in memory and on the page. */
export const LOG_KEPT = 500;
/** Characters of all messages in the log together. */
export const LOG_CHARS = 2_000_000;
/** Characters of one received message that are kept. */
export const TEXT_KEPT = 100_000;
/** Characters and lines of a message that are shown before "Show all". */
export const TEXT_SHOWN = 1_500;
export const LINES_SHOWN = 24;
/** Characters that the composer takes. */
export const COMPOSED_MAX = 16_000;
/** Names in one join or leave notice: kept, and shown before “and 5 others”. */
export const NOTICE_NAMES = 40;
export const NOTICE_SHOWN = 4;
/** Time in which joins and departures are gathered into one notice. */
export const NOTICE_GATHER_MS = 15_000;
/** Time in which messages of one member stand as one group. */
export const GROUP_MS = 5 * 60_000;
/** Departed members whose names are remembered, for messages that arrive after them. */
export const NAMES_REMEMBERED = 1_000;
/** Characters of a display name, as the protocol bounds it. */
export const NAME_MAX = 64;
/** Characters of a room's name, as the protocol bounds it. */
export const ROOM_NAME_MAX = 64;
/** Characters of a token. */
export const TOKEN_MAX = 8_192;

/** Links that one member publishes: they fit into one lossy message. */
export const LINKS_PUBLISHED = 300;
/** Pauses between two publications of one's own links: when states changed, when only times did. */
export const PUBLISH_STATES_MS = 150;
export const PUBLISH_TIMES_MS = 2_000;
/** Links that the drawing shows. */
export const LINKS_DRAWN = 5_000;
/** Members that the drawing labels with their names, and with their initials. */
export const LABELLED = 14;
export const INITIALED = 30;
/** Messages that the drawing shows on their way at the same time. */
export const PULSES = 48;
/** Links that are gone and that the drawing still shows, fading. */
export const FADING = 1_000;

/** How often a typing member says so, and how long it is believed. */
export const TYPING_EVERY_MS = 2_500;
export const TYPING_BELIEVED_MS = 6_000;
/** Names in the typing line. */
export const TYPING_NAMES = 3;
