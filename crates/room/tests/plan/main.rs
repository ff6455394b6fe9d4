//! Plans of rooms: what holds in every topology and on the way from one to another.

mod graph;
mod places;
mod properties;
mod topologies;
