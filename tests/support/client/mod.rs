//! A browser without a screen: cookies, Fetch metadata and redirects as browsers have them, one step at a time.
//!
//! Must never be kinder than a browser: a cookie that Chromium drops is dropped here too.

mod ask;
mod browser;
mod connection;
mod form;
mod jar;
mod page;

pub use ask::{Ask, From};
pub use browser::{Browser, sign_in};
pub use connection::Io;
pub use form::Form;
pub use jar::{Cookie, Jar};
pub use page::{Page, Step};
