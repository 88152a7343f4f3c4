//! The one HTTP client: where TLS, proxies and the connection pool are set up.
//!
//! Invariant: nothing is built or opened before the first request. There is no total timeout (an answer may stream for an hour).

use reqwest::{Client, Url};
use std::sync::OnceLock;
use std::time::Duration;

/// Why no client could be made.
#[derive(Debug, thiserror::Error)]
pub enum NetError {
    #[error(
        "the HTTP client could not be set up; for https, check that the system's CA certificates (package ca-certificates) are installed"
    )]
    Build(#[source] reqwest::Error),
}

/// How a URL is reached. Each way has a client, and so a warm pool, of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Route {
    /// This machine: never through a proxy.
    loopback: bool,
    /// Only `https` pays for loading the system's certificates.
    https: bool,
}

static CLIENTS: [OnceLock<Client>; 4] = [const { OnceLock::new() }; 4];

/// The client for `url`, made at its first use. Redirects are not followed: a key goes to the host that somebody chose.
///
/// # Errors
/// The system has no usable certificates, or TLS could not be set up.
pub fn client(url: &Url) -> Result<Client, NetError> {
    let route = Route::to(url);
    let slot = &CLIENTS[usize::from(route.loopback) * 2 + usize::from(route.https)];
    if let Some(client) = slot.get() {
        return Ok(client.clone());
    }
    let client = route.build().map_err(NetError::Build)?;
    Ok(slot.get_or_init(|| client).clone())
}

impl Route {
    fn to(url: &Url) -> Self {
        // An address in brackets parses once the brackets are gone; a name is loopback when RFC 6761 says so.
        let host = url.host_str().unwrap_or_default().trim_matches(['[', ']']).trim_end_matches('.');
        let loopback = match host.parse::<std::net::IpAddr>() {
            Ok(address) => address.to_canonical().is_loopback(),
            Err(_) => host == "localhost" || host.ends_with(".localhost"),
        };
        Self { loopback, https: url.scheme() == "https" }
    }

    fn build(self) -> Result<Client, reqwest::Error> {
        // Fails only if a provider is installed already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut builder = Client::builder()
            .user_agent(concat!("pillion/", env!("CARGO_PKG_VERSION")))
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never())
            .tcp_nodelay(true)
            .tcp_keepalive(Duration::from_secs(30))
            .pool_max_idle_per_host(32);
        if self.loopback {
            builder = builder.no_proxy();
        }
        if !self.https {
            builder = builder.tls_certs_only([]);
        }
        builder.build()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn route(url: &str) -> Route {
        Route::to(&Url::parse(url).unwrap())
    }

    #[test]
    fn only_this_machine_is_reached_without_the_proxy() {
        for url in
            ["http://127.0.0.1:11434/v1", "http://127.9.9.9/", "http://[::1]:8080/", "http://localhost:1234/v1", "http://a.localhost./"]
        {
            assert_eq!(route(url), Route { loopback: true, https: false }, "{url}");
        }
        for url in ["http://10.0.0.1/v1", "http://localhost.example.org/", "http://[::2]/", "http://notlocalhost/"] {
            assert_eq!(route(url), Route { loopback: false, https: false }, "{url}");
        }
        assert_eq!(route("https://api.openai.com/v1"), Route { loopback: false, https: true });
    }

    #[test]
    fn every_route_gets_a_client() {
        for url in ["http://127.0.0.1/", "https://127.0.0.1/", "http://example.org/", "https://example.org/"] {
            client(&Url::parse(url).unwrap()).unwrap();
        }
    }
}
