//! Where the gateway of the demo can listen.
//!
//! Never beyond loopback, and never on a port that means somebody else when a browser asks for `localhost`.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};

use super::DemoError;

/// The gateway's addresses.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Front {
    /// Its listener.
    pub listen: SocketAddr,
    /// The same port on the other loopback address: `localhost` may mean either.
    pub also: Option<SocketAddr>,
    /// Its admin listener.
    pub admin: SocketAddr,
    /// The port that was asked for and is taken.
    pub taken: Option<u16>,
}

impl Front {
    /// Looks for free ports: those asked for, or any.
    ///
    /// # Errors
    /// [`DemoError::NotLoopback`], [`DemoError::Bind`].
    pub fn find(listen: SocketAddr, admin: SocketAddr) -> Result<Self, DemoError> {
        for asked in [listen, admin] {
            if !asked.ip().is_loopback() {
                return Err(DemoError::NotLoopback(asked));
            }
        }
        let (front, _held) = match pair(listen) {
            Ok(pair) => pair,
            Err(error) if error.kind() == ErrorKind::AddrInUse => free_pair(listen.ip())?,
            Err(source) => return Err(DemoError::Bind { at: listen.ip(), source }),
        };
        // While the front's ports are held, so that the admin listener does not get one of them.
        let admin = TcpListener::bind(admin)
            .or_else(|_| TcpListener::bind((admin.ip(), 0)))
            .and_then(|held| held.local_addr())
            .map_err(|source| DemoError::Bind { at: admin.ip(), source })?;
        let taken = (listen.port() != 0 && front.0.port() != listen.port()).then_some(listen.port());
        Ok(Self { listen: front.0, also: front.1, admin, taken })
    }

    /// What browsers open. `localhost`, because the provider is at `127.0.0.1`: cookies know hosts and not ports, and two parties that
    /// are apart in reality should not share a jar here.
    #[must_use]
    pub fn public_url(&self) -> String {
        format!("http://{}", self.authority())
    }

    /// Host and port of the public URL.
    #[must_use]
    pub fn authority(&self) -> String {
        if is_localhost(self.listen.ip()) {
            format!("localhost:{}", self.listen.port())
        } else {
            self.listen.to_string()
        }
    }
}

type Pair = ((SocketAddr, Option<SocketAddr>), Vec<TcpListener>);

/// Binds an address, and the same port of its twin where `localhost` may mean that as well.
fn pair(listen: SocketAddr) -> std::io::Result<Pair> {
    let held = TcpListener::bind(listen)?;
    let address = held.local_addr()?;
    let Some(twin) = twin(address.ip()) else { return Ok(((address, None), vec![held])) };
    match TcpListener::bind((twin, address.port())) {
        Ok(other) => Ok(((address, Some(other.local_addr()?)), vec![held, other])),
        Err(error) if error.kind() == ErrorKind::AddrInUse => Err(error),
        // This machine has no such address.
        Err(_) => Ok(((address, None), vec![held])),
    }
}

fn free_pair(ip: IpAddr) -> Result<Pair, DemoError> {
    let mut last = Err(std::io::Error::from(ErrorKind::AddrInUse));
    for _ in 0..8 {
        last = pair((ip, 0).into());
        if last.is_ok() {
            break;
        }
    }
    last.map_err(|source| DemoError::Bind { at: ip, source })
}

fn is_localhost(ip: IpAddr) -> bool {
    twin(ip).is_some()
}

fn twin(ip: IpAddr) -> Option<IpAddr> {
    match ip {
        IpAddr::V4(Ipv4Addr::LOCALHOST) => Some(Ipv6Addr::LOCALHOST.into()),
        IpAddr::V6(Ipv6Addr::LOCALHOST) => Some(Ipv4Addr::LOCALHOST.into()),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn any(ip: [u8; 4]) -> SocketAddr {
        (ip, 0).into()
    }

    #[test]
    fn only_loopback_will_do() {
        for listen in ["0.0.0.0:0", "192.0.2.1:0", "[::]:0"] {
            let refused = Front::find(listen.parse().unwrap(), any([127, 0, 0, 1])).unwrap_err();
            assert!(matches!(refused, DemoError::NotLoopback(_)), "{refused}");
        }
        assert!(Front::find(any([127, 0, 0, 1]), "0.0.0.0:0".parse().unwrap()).is_err());
    }

    #[test]
    fn a_taken_port_is_named_and_another_is_used() {
        let holder = TcpListener::bind(any([127, 0, 0, 1])).unwrap();
        let taken = holder.local_addr().unwrap();
        let front = Front::find(taken, taken).unwrap();
        assert_eq!(front.taken, Some(taken.port()));
        assert_ne!(front.listen.port(), taken.port());
        assert_ne!(front.listen.port(), front.admin.port());
        assert_eq!(front.public_url(), format!("http://localhost:{}", front.listen.port()));
    }

    #[test]
    fn a_port_that_is_taken_on_the_other_loopback_is_taken() {
        let Ok(holder) = TcpListener::bind((Ipv6Addr::LOCALHOST, 0)) else { return };
        let port = holder.local_addr().unwrap().port();
        let front = Front::find(([127, 0, 0, 1], port).into(), any([127, 0, 0, 1])).unwrap();
        assert_eq!(front.taken, Some(port));
        assert!(front.also.is_some());
    }
}
