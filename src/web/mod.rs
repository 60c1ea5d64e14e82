//! What HTTP between browsers and the gateway means: one reading of a request, safe cookies, safe targets, our answers.
//!
//! Nothing here opens a socket, reads a clock, or knows what a session or a route is.

pub mod accept;
pub mod answer;
pub mod authority;
pub mod body;
pub mod caching;
pub mod client;
pub mod cookie;
pub mod cross_site;
pub mod fetch;
pub mod forwarded;
pub mod headers;
pub mod network;
pub mod origin;
pub mod owned;
pub mod page;
pub mod path;
mod present;
pub mod problem;
pub mod rejected;
pub mod request_id;
pub mod return_to;
pub mod set_cookie;
pub mod settings;

pub use accept::{Accept, Format};
pub use answer::{json, redirect_303, status_of};
pub use body::{Body, BoxError};
pub use client::{AuthorizationHeader, ClientRequest, Connection, Upgrade};
pub use cookie::{Cookies, SessionCookie};
pub use cross_site::Verdict;
pub use fetch::Fetch;
pub use network::Network;
pub use origin::OriginError;
pub use owned::Owned;
pub use page::{Page, page};
pub use path::{CanonicalPath, PathError};
pub use problem::Problem;
pub use rejected::{Rejected, RequestError};
pub use request_id::RequestId;
pub use return_to::ReturnTo;
pub use settings::{CookieSettings, NetworkSettings, PublicOrigin, SameSite};
