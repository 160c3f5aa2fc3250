//! The keys of webhooks: read once at the start, from files or the environment, and shown nowhere.

use super::settings::{KeySource, Webhook, WebhookScheme};
use crate::{exit::Exit, output, trouble::Trouble};
use base64::{Engine, prelude::BASE64_STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use ponos::files;
use sha2::Sha256;
use std::{env, fmt};
use subtle::{Choice, ConstantTimeEq};

/// The most bytes of a file with a key.
const FILE: u64 = 4096;
/// The fewest bytes of a key: fewer could be guessed.
const LEAST: usize = 16;
/// How keys of Standard Webhooks are written: then base64 follows.
const PREFIX: &str = "whsec_";

/// The keys of one webhook. `Debug` shows how many there are.
pub(super) struct Keys(Vec<Vec<u8>>);

impl fmt::Debug for Keys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} keys", self.0.len())
    }
}

impl Keys {
    /// Reads those of a webhook.
    ///
    /// # Errors
    /// One can't be read, or is not a key.
    pub(super) fn read(webhook: &Webhook) -> Result<Self, Trouble> {
        let read = |source: &KeySource| {
            let (place, text) = read(source);
            let key = text.and_then(|text| parse(webhook.scheme, text.trim()));
            key.map_err(|what| {
                let what = format!("the key of the webhook '{}', {place}: {what}", webhook.name);
                Trouble::Words(Exit::Configuration, what)
            })
        };
        webhook.keys.iter().map(read).collect::<Result<_, _>>().map(Self)
    }

    #[cfg(test)]
    pub(super) fn of(keys: &[&[u8]]) -> Self {
        Self(keys.iter().map(|key| key.to_vec()).collect())
    }

    /// Whether one of them signed these parts with one of these signatures; compared in constant time. The parts are read once
    /// for each key, however many signatures there are.
    pub(super) fn verify(&self, parts: &[&[u8]], signatures: &[Vec<u8>]) -> bool {
        // all of them are tried, so that the time says nothing of which one it was
        let is_right = self.0.iter().fold(Choice::from(0), |is_right, key| {
            let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(key) else { return is_right };
            parts.iter().for_each(|part| mac.update(part));
            let wanted: [u8; 32] = mac.finalize().into_bytes().into();
            signatures.iter().fold(is_right, |is_right, one| is_right | one.as_slice().ct_eq(&wanted[..]))
        });
        is_right.into()
    }
}

/// Where the key is, for people, and its text.
fn read(source: &KeySource) -> (String, Result<String, String>) {
    match source {
        KeySource::File(file) => {
            if let Some(warning) = files::open_to_others(file) {
                output::complain(&format!("warning: {warning}"));
            }
            let text = files::read_text(file, FILE).map_err(|error| format!("it can't be read: {error}"));
            (format!("the file {}", file.display()), text)
        }
        KeySource::Variable(name) => {
            let text = env::var(name).map_err(|_| "it is not set, or is not text".to_owned());
            (format!("the variable {name}"), text)
        }
    }
}

fn parse(scheme: WebhookScheme, text: &str) -> Result<Vec<u8>, String> {
    let key = match scheme {
        WebhookScheme::Standard => {
            let wrong = |_| format!("it is not {PREFIX} and base64, as Standard Webhooks write keys");
            BASE64_STANDARD.decode(text.strip_prefix(PREFIX).unwrap_or(text)).map_err(wrong)?
        }
        WebhookScheme::GitHub => text.as_bytes().to_vec(),
    };
    if key.len() < LEAST {
        return Err(format!(
            "it has fewer than {LEAST} bytes; take one of at least 24, such as openssl rand makes"
        ));
    }
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    fn webhook(scheme: WebhookScheme, keys: Vec<KeySource>) -> Webhook {
        Webhook { name: "vendor".into(), scheme, keys, event: None, events: BTreeMap::new() }
    }

    #[test]
    fn a_key_that_can_not_be_used_is_refused_with_its_place_and_not_repeated() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("key");
        for (scheme, text, said) in [
            (WebhookScheme::Standard, "whsec_hunter2!", "is not whsec_ and base64"),
            (WebhookScheme::Standard, "whsec_aHVudGVyMg==", "fewer than 16 bytes"),
            (WebhookScheme::GitHub, "hunter2\n", "fewer than 16 bytes"),
        ] {
            std::fs::write(&file, text).unwrap();
            let refused = Keys::read(&webhook(scheme, vec![KeySource::File(file.clone())])).unwrap_err();
            let refused = refused.to_string();
            assert!(refused.contains(said) && refused.contains("'vendor', the file "), "{refused}");
            assert!(!refused.contains("hunter2"), "{refused}");
        }
        let unset = vec![KeySource::Variable("PONOS_NO_SUCH_KEY".into())];
        let refused = Keys::read(&webhook(WebhookScheme::GitHub, unset)).unwrap_err().to_string();
        assert!(refused.contains("PONOS_NO_SUCH_KEY: it is not set"), "{refused}");
        std::fs::write(&file, "0123456789abcdef\n").unwrap();
        let keys = Keys::read(&webhook(WebhookScheme::GitHub, vec![KeySource::File(file)])).unwrap();
        assert_eq!(format!("{keys:?}"), "1 keys");
        assert_eq!(keys.0, [b"0123456789abcdef"]);
    }

    #[test]
    fn any_of_the_keys_may_have_signed() {
        // RFC 4231, test case 2
        let signature = [
            0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
            0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43,
        ];
        let parts: [&[u8]; 2] = [b"what do ya ", b"want for nothing?"];
        let [one, cut] = [&signature[..], &signature[..31]].map(|signature| [signature.to_vec()]);
        assert!(Keys::of(&[b"new", b"Jefe"]).verify(&parts, &one));
        assert!(Keys::of(&[b"new", b"Jefe"]).verify(&parts, &[cut[0].clone(), one[0].clone(), Vec::new()]));
        assert!(!Keys::of(&[b"new"]).verify(&parts, &one));
        assert!(!Keys::of(&[b"Jefe"]).verify(&parts[..1], &one));
        assert!(!Keys::of(&[b"Jefe"]).verify(&parts, &cut));
        assert!(!Keys::of(&[b"Jefe"]).verify(&parts, &[]));
        assert!(!Keys::of(&[]).verify(&parts, &one));
    }
}
