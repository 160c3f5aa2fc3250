//! Signs calls of AWS by Signature Version 4, as far as SQS needs it: every call is a POST of `/` without a query, so that there
//! is nothing to be encoded or sorted but the headers (ADR 0041).
//!
//! <https://docs.aws.amazon.com/IAM/latest/UserGuide/reference_sigv-create-signed-request.html>

use super::credentials::Credentials;
use hmac::{Hmac, KeyInit, Mac};
use ponos::event::Timestamp;
use sha2::{Digest, Sha256};
use std::fmt::Write;

/// What a signature holds for, beside its day.
#[derive(Debug, Clone, Copy)]
pub(super) struct Scope<'a> {
    pub(super) region: &'a str,
    pub(super) service: &'a str,
}

/// The value of the header `x-amz-date`: `20150830T123600Z`.
pub(super) fn date(at: Timestamp) -> String {
    let text = at.to_string();
    let seconds = text.split('.').next().unwrap_or_default();
    format!("{}Z", seconds.replace(['-', ':'], ""))
}

/// The value of the header `authorization`. The headers are in the order of their names, which are in lower case; among them are
/// `host`, `x-amz-date` with `date`, and, where the key has a token, `x-amz-security-token`.
pub(super) fn authorization(
    credentials: &Credentials,
    Scope { region, service }: Scope<'_>,
    date: &str,
    headers: &[(&str, &str)],
    body: &[u8],
) -> String {
    let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
    let signed = names.join(";");
    let lines: String = headers.iter().map(|(name, value)| format!("{name}:{}\n", value.trim())).collect();
    let request = format!("POST\n/\n\n{lines}\n{signed}\n{}", hex(&Sha256::digest(body)));
    let day = date.get(..8).unwrap_or_default();
    let scope = format!("{day}/{region}/{service}/aws4_request");
    let to_sign = format!("AWS4-HMAC-SHA256\n{date}\n{scope}\n{}", hex(&Sha256::digest(request)));
    let secret = format!("AWS4{}", credentials.secret_access_key);
    let key = [day, region, service, "aws4_request"]
        .iter()
        .fold(secret.into_bytes(), |key, part| mac(&key, part.as_bytes()).to_vec());
    let signature = hex(&mac(&key, to_sign.as_bytes()));
    let id = &credentials.access_key_id;
    format!("AWS4-HMAC-SHA256 Credential={id}/{scope}, SignedHeaders={signed}, Signature={signature}")
}

fn mac(key: &[u8], data: &[u8]) -> [u8; 32] {
    match Hmac::<Sha256>::new_from_slice(key) {
        Ok(mut mac) => {
            mac.update(data);
            mac.finalize().into_bytes().into()
        }
        // a key of any length is taken
        Err(_) => [0; 32],
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        // a text takes anything
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DATE: &str = "20150830T123600Z";

    fn signature(
        token: Option<&str>,
        scope: Scope<'_>,
        headers: &[(&str, &str)],
        body: &str,
    ) -> (String, String) {
        let credentials = Credentials {
            access_key_id: "AKIDEXAMPLE".into(),
            secret_access_key: "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY".into(),
            session_token: token.map(str::to_owned),
        };
        let text = authorization(&credentials, scope, DATE, headers, body.as_bytes());
        let (rest, signature) = text.split_once(", Signature=").unwrap();
        (rest.to_owned(), signature.to_owned())
    }

    /// Those of AWS's own suite (aws-sig-v4-test-suite) that are a POST of `/`.
    #[test]
    fn the_published_vectors_come_out() {
        let scope = Scope { region: "us-east-1", service: "service" };
        let (host, date) = (("host", "example.amazonaws.com"), ("x-amz-date", DATE));
        let (rest, vanilla) = signature(None, scope, &[host, date], "");
        assert_eq!(
            rest,
            "AWS4-HMAC-SHA256 Credential=AKIDEXAMPLE/20150830/us-east-1/service/aws4_request, SignedHeaders=host;x-amz-date"
        );
        assert_eq!(vanilla, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b");
        let form = ("content-type", "application/x-www-form-urlencoded");
        let (_, form) = signature(None, scope, &[form, host, date], "Param1=value1");
        assert_eq!(form, "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a");
        let token = "AQoDYXdzEPT//////////wEXAMPLEtc764bNrC9SAPBSM22wDOk4x4HIZ8j4FZTwdQWLWsKWHGBuFqwAeMicRXmxfpSPfIeoIYRqTflfKD8YUuwthAx7mSEI/qkPpKPi/kMcGdQrmGdeehM4IC1NtBmUpp2wUE8phUZampKsburEDy0KPkyQDYwT7WZ0wq5VSXDvp75YU9HFvlRd8Tx6q6fE8YQcHNVXAkiY9q6d+xo0rKwT38xVqr7ZD0u0iPPkUL64lIZbqBAz+scqKmlzm8FDrypNC9Yjc8fPOLn9FX9KSYvKTr4rvx3iSIlTJabIQwj2ICCR/oLxBA==";
        let of_session = [host, date, ("x-amz-security-token", token)];
        let (_, of_session) = signature(Some(token), scope, &of_session, "");
        assert_eq!(of_session, "85d96828115b5dc0cfc3bd16ad9e210dd772bbebba041836c64533a82be05ead");
    }

    /// Signed by botocore 1.44.8.
    #[test]
    fn a_call_of_sqs_is_signed_as_botocore_signs_it() {
        let headers = [
            ("content-type", "application/x-amz-json-1.0"),
            ("host", "sqs.eu-central-1.amazonaws.com"),
            ("x-amz-date", DATE),
            ("x-amz-security-token", "a-token"),
            ("x-amz-target", "AmazonSQS.ReceiveMessage"),
        ];
        let body = r#"{"QueueUrl":"https://sqs.eu-central-1.amazonaws.com/123456789012/orders"}"#;
        let scope = Scope { region: "eu-central-1", service: "sqs" };
        let (_, signature) = signature(Some("a-token"), scope, &headers, body);
        assert_eq!(signature, "eb61ebf48c664cb501428617ef0c0c412a9e4977b31b1f47b114eb7ae5e58d4f");
    }

    #[test]
    fn a_date_has_no_signs_and_no_fraction() {
        assert_eq!(date("2015-08-30T12:36:00.987Z".parse().unwrap()), DATE);
    }
}
