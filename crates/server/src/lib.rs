//! The Roomful server: signalling, web app and browser SDK on one port.
//!
//! It does the I/O that [`room`] has none of: sockets, TLS, tokens, limits, metrics. It deliberately does not carry
//! what members say to each other. For deepstream's clients it does, and keeps their records: a room that is bridged to
//! them has a [member](roomful) in this process.
//!
//! A connection walks through [`Server`]'s accept loop (limits by address, TLS), HTTP (pages and files, or the upgrade
//! of a room's address), its own task (the `join` and its token, then reading and writing), and the inbox of its
//! room's shard, which owns the [`Hub`](room::hub::Hub). What the hub answers is made into a frame once and put into
//! each receiver's bounded queue.
//!
//! ```
//! # #[tokio::main(flavor = "current_thread")]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! use server::{Config, Server};
//!
//! let config = Config { dev: true, listen: "127.0.0.1:0".parse()?, ..Config::default() };
//! let running = Server::start(config).await?;
//! println!("open {}", running.url());
//! running.shutdown().await;
//! # Ok(())
//! # }
//! ```

mod address;
mod assets;
mod bucket;
mod clock;
pub mod config;
mod deepstream;
mod http;
mod inside;
pub mod limits;
mod metrics;
mod outbound;
pub mod password;
mod relay;
mod server;
mod shard;
mod stream;
mod tls;
pub mod token;
mod worker;
mod ws;

pub use config::Config;
pub use server::{Running, Server, StartError};
pub use tls::TlsError;
