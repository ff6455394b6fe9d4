//! Tests of whole rooms: real servers, members, browsers.
