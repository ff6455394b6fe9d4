//! Rooms of real members with a real server, all in this process and on loopback.

mod calls;
mod entering;
mod exchange;
mod leaving;
mod lossy;
mod proxy;
mod reconnecting;
mod scene;
mod secret;
mod stalled;
mod state;
mod topologies;
