//! Who may be told what: origins, sites, and addresses inside the user's own network.
//!
//! A registry chooses where its token server and its downloads are. It must not make box carry credentials to
//! strangers (CVE-2020-15157), nor talk to services inside that only the user can reach (CVE-2026-48978).

use reqwest::Url;
use std::net::IpAddr;

/// Suffixes below which different people have their own names: not one site.
const SHARED: &[&str] = &[
    "azurecr.io",
    "amazonaws.com",
    "cloudfront.net",
    "github.io",
    "gitlab.io",
    "pkg.dev",
    "run.app",
    "web.app",
    "jfrog.io",
    "appspot.com",
    "azurewebsites.net",
    "windows.net",
    "herokuapp.com",
    "netlify.app",
    "vercel.app",
    "workers.dev",
    "pages.dev",
    "fly.dev",
    "ngrok.io",
    "ngrok-free.app",
    "trycloudflare.com",
    "duckdns.org",
    "googleapis.com",
    "scw.cloud",
    "ts.net",
    "nip.io",
    "sslip.io",
];

/// Whether two URLs have the same scheme, host and port.
pub fn same(a: &Url, b: &Url) -> bool {
    a.scheme() == b.scheme() && a.host_str() == b.host_str() && a.port_or_known_default() == b.port_or_known_default()
}

/// `HOST[:PORT]` of a URL, the port only if it is not the scheme's own: as certs.d names it.
pub fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    url.port().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
}

/// Whether two hosts belong to the same people, as far as names tell: equal, or below one registrable domain.
///
/// There is no list of public suffixes here: a suffix of two labels counts, but one that looks like `co.uk` and
/// those of hosting companies do not.
pub fn same_site(a: &str, b: &str) -> bool {
    if a.eq_ignore_ascii_case(b) {
        return true;
    }
    if [a, b].into_iter().any(|host| host.parse::<IpAddr>().is_ok() || host.starts_with('[')) {
        return false;
    }
    let (a, b) = (a.to_ascii_lowercase(), b.to_ascii_lowercase());
    match (site(&a), site(&b)) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

/// The registrable domain of a host name.
fn site(host: &str) -> Option<&str> {
    let starts: Vec<usize> = std::iter::once(0).chain(host.match_indices('.').map(|(at, _)| at + 1)).collect();
    let suffix =
        |labels: usize| starts.len().checked_sub(labels).and_then(|at| starts.get(at)).and_then(|at| host.get(*at..));
    let two = suffix(2)?;
    let (second, top) = two.split_once('.')?;
    let looks_public = top.len() == 2 && second.len() <= 3;
    if looks_public || SHARED.contains(&two) { suffix(3) } else { Some(two) }
}

/// Whether an address is inside: loopback, private, link-local (cloud metadata), unspecified.
pub fn is_inside(address: IpAddr) -> bool {
    match address {
        IpAddr::V4(v4) => {
            v4.is_loopback()
                || v4.is_private()
                || v4.is_link_local()
                || v4.is_unspecified()
                || v4.is_broadcast()
                // Carrier-grade NAT, 100.64.0.0/10: also a provider's metadata services.
                || (v4.octets()[0] == 100 && v4.octets()[1] & 0xc0 == 64)
        }
        IpAddr::V6(v6) => {
            v6.to_ipv4_mapped().is_some_and(|v4| is_inside(IpAddr::V4(v4)))
                || v6.is_loopback()
                || v6.is_unspecified()
                || v6.is_unique_local()
                || v6.is_unicast_link_local()
        }
    }
}

/// Whether a URL's host is inside, by literal address or by any address that its name has.
///
/// A name that cannot be resolved is not: there may be a proxy that can, which is then outside.
pub async fn leads_inside(url: &Url) -> bool {
    let Some(host) = url.host_str() else { return true };
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(address) = bare.parse::<IpAddr>() {
        return is_inside(address);
    }
    if bare == "localhost" || bare.ends_with(".localhost") {
        return true;
    }
    let port = url.port_or_known_default().unwrap_or(443);
    match tokio::net::lookup_host((bare, port)).await {
        Ok(mut addresses) => addresses.any(|address| is_inside(address.ip())),
        Err(_) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sites() {
        for (a, b, expected) in [
            ("registry-1.docker.io", "auth.docker.io", true),
            ("registry.gitlab.com", "gitlab.com", true),
            ("a.example", "A.EXAMPLE", true),
            ("a.example.com", "a.example.com.evil.com", false),
            ("evilexample.com", "example.com", false),
            ("a.co.uk", "b.co.uk", false),
            ("x.a.co.uk", "y.a.co.uk", true),
            ("mine.azurecr.io", "yours.azurecr.io", false),
            ("10.0.0.1", "10.0.0.2", false),
            ("localhost", "other", false),
            ("com", "com", true),
        ] {
            assert_eq!(same_site(a, b), expected, "{a} {b}");
        }
    }

    #[test]
    fn addresses() {
        for (text, expected) in [
            ("127.0.0.1", true),
            ("169.254.169.254", true),
            ("10.1.2.3", true),
            ("192.168.0.1", true),
            ("172.31.0.1", true),
            ("100.100.100.200", true),
            ("0.0.0.0", true),
            ("::1", true),
            ("::ffff:127.0.0.1", true),
            ("fe80::1", true),
            ("fd00::1", true),
            ("1.1.1.1", false),
            ("2606:4700::1111", false),
        ] {
            assert_eq!(is_inside(text.parse().unwrap()), expected, "{text}");
        }
    }
}
