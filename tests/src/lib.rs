//! Tests of whole rooms: real servers, members, browsers. Those with browsers are in `browser/`.
