//! wip
pub mod docs;
mod document;
pub mod environment;
pub mod file;
mod not_yet;
mod places;
pub mod problem;
mod shape;
mod suggest;
mod value;
