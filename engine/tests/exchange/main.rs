//! Whatever safe code exchanges, forgets or drops, every chunk has one owner: each
//! pair of ours that an application can get hold of, and then all of them at random.
#![forbid(unsafe_code)]

mod copies;
mod impairment;
mod messages;
mod pairs;
mod random;
mod tagged;
mod world;
