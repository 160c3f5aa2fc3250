//! Requests that came through a proxy.

/// Whether the names of a request's headers, in lower case, say that a proxy passed it on. Clients have no reason to send
/// such a header, and gain nothing by it. A proxy may be silent, so `false` proves nothing.
pub fn is_forwarded<'a>(names: impl IntoIterator<Item = &'a str>) -> bool {
    let says_so =
        |name: &str| matches!(name, "forwarded" | "via" | "x-real-ip") || name.starts_with("x-forwarded-");
    names.into_iter().any(says_so)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_proxies_add_is_known() {
        for name in ["forwarded", "via", "x-real-ip", "x-forwarded-for", "x-forwarded-proto"] {
            assert!(is_forwarded(["host", name]), "{name}");
        }
        assert!(!is_forwarded(["host", "x-request-id"]));
    }
}
