//! deepstream's clients: who they are, what they may do, and where their records are kept.

pub(crate) mod auth;
pub(crate) mod connection;
pub(crate) mod desk;
pub mod settings;
pub(crate) mod store;
