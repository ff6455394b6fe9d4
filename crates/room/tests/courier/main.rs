//! Couriers over made-up links: exactly once, in order, to everybody, whatever the links do.

mod addressed;
mod net;
mod repair;
mod spread;
