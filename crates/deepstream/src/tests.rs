//! The engine as its clients see it, over both protocols.

mod calls;
mod chaos;
mod events;
mod hostile;
mod listening;
mod lists;
mod own;
mod permissions;
mod presence;
mod records;
mod sessions;
mod storing;
mod work;
mod world;
