//! The hub's side of a room, driven from outside.

mod auto;
mod carried;
mod distances;
mod forgers;
mod links;
mod properties;
mod refusals;
mod relays;
mod sessions;
mod shared;
mod switch;
mod table;
