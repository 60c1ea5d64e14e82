//! Sessions: their cookie and limits, what people and scripts can ask of them, how they end, and who is told.

mod audit;
mod cookie;
mod endpoints;
mod events;
mod limits;
mod logout;
mod logout_provider;
mod own;
mod refresh;
mod secrets;
mod streams;
mod upstream;
