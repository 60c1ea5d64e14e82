//! The process: commands, configuration, health, the operators' API, outages, and its end.

mod admin;
mod commands;
mod drain;
mod endpoints;
mod https;
mod outages;
mod webhooks;
