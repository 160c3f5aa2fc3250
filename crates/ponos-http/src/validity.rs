//! From when until when a certificate is valid: who has one that is not is told before his clients are.

use ponos_event::Timestamp;
use rustls_pki_types::CertificateDer;
use x509_cert::{Certificate, der::Decode, time::Time};

/// So long before its end a certificate should have been renewed: 14 days, in milliseconds.
const EARLY: i64 = 14 * 86_400_000;

/// From when until when a certificate is valid.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    from: Timestamp,
    until: Timestamp,
}

impl Validity {
    /// None where it can't be read: the library of TLS takes it or not.
    pub(crate) fn of(certificate: &CertificateDer<'_>) -> Option<Self> {
        let validity = Certificate::from_der(certificate).ok()?.tbs_certificate.validity;
        let at = |time: Time| {
            let millis = time.to_unix_duration().as_millis();
            i64::try_from(millis).ok().map(Timestamp::from_millis)
        };
        Some(Self { from: at(validity.not_before)?, until: at(validity.not_after)? })
    }

    /// As long as all of these are valid.
    pub(crate) fn of_all(certificates: &[CertificateDer<'_>]) -> Option<Self> {
        let each = certificates.iter().filter_map(Self::of);
        each.reduce(|one, other| Self { from: one.from.max(other.from), until: one.until.min(other.until) })
    }

    /// Whether it is now.
    pub(crate) fn is_now(&self, now: Timestamp) -> bool {
        (self.from..=self.until).contains(&now)
    }

    /// What is wrong with it now, or will be soon.
    pub(crate) fn concern(&self, now: Timestamp) -> Option<String> {
        let Self { from, until } = self;
        if now < *from {
            return Some(format!(
                "is not valid before {from}: clients refuse it; check it, and this machine's time"
            ));
        }
        if now > *until {
            return Some(format!("expired at {until}: clients refuse it; renew it"));
        }
        (until.since(now) < EARLY)
            .then(|| format!("expires at {until}; renew it: a new one is used without a restart"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustls_pki_types::pem::PemObject;

    #[test]
    fn a_certificate_says_from_when_until_when_it_is_valid() {
        let folder = tempfile::tempdir().unwrap();
        let made = testkit::Certificates::generate_valid(folder.path(), (2026, 1, 2), (2026, 3, 4));
        let pem = CertificateDer::from_pem_file(&made.server.certificate).unwrap();
        let validity = Validity::of(&pem).unwrap();
        let concern = |at: &str| validity.concern(at.parse().unwrap()).unwrap_or_default();
        for (at, said) in [
            ("2026-01-01T23:59:59Z", "is not valid before 2026-01-02T00:00:00"),
            ("2026-01-02T00:00:00Z", ""),
            ("2026-02-17T23:59:59Z", ""),
            ("2026-02-18T00:00:01Z", "expires at 2026-03-04T00:00:00"),
            ("2026-03-04T00:00:01Z", "expired at 2026-03-04T00:00:00"),
        ] {
            let found = concern(at);
            assert!(found.starts_with(said) && found.is_empty() == said.is_empty(), "{at}: {found}");
        }
        let is_now = |at: &str| validity.is_now(at.parse().unwrap());
        assert!(is_now("2026-01-02T00:00:00Z") && is_now("2026-03-04T00:00:00Z"));
        assert!(!is_now("2026-01-01T23:59:59Z") && !is_now("2026-03-04T00:00:01Z"));
        assert_eq!(Validity::of(&CertificateDer::from_slice(b"no certificate")), None);
        // Of several, what they have in common.
        let other = tempfile::tempdir().unwrap();
        let other = testkit::Certificates::generate_valid(other.path(), (2026, 2, 1), (2027, 1, 1));
        let other = CertificateDer::from_pem_file(&other.server.certificate).unwrap();
        let all = Validity::of_all(&[pem, other]).unwrap();
        assert_eq!(all.until, validity.until);
        assert!(all.from > validity.from);
        assert_eq!(Validity::of_all(&[]), None);
    }
}
