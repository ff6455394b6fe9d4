//! Rooms of real members with a real server, all in this process and on loopback.

mod exchange;
mod scene;
