//! What passes between clients and applications, and what does not.

mod browser_headers;
mod caching;
mod cors;
mod cross_site;
mod fields;
mod heads;
mod hosts;
mod http2;
mod limits;
mod paths;
mod retries;
mod routes;
mod streams;
mod transport;
mod troubles;
mod websocket;
