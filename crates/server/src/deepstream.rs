//! deepstream's clients: who they are, what they may do, where their records are kept, and how they and rooms
//! meet.

mod arrears;
pub(crate) mod auth;
pub(crate) mod bridge;
pub(crate) mod connection;
pub(crate) mod desk;
pub mod settings;
pub(crate) mod store;
pub(crate) mod window;
