//! The message that something is asked for by: one that comes again is answered as before, whatever may be done now.

use super::{OpsError, RunningClock};
use crate::{
    authority::Caller,
    clock_loop::Command,
    engine::{Asker, Digest, Expect, Message, Refusal, Verdict},
    schedule::FaultCode,
};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// Bytes of a message's id at most, as the broker has them.
const MESSAGE_ID: usize = 255;

/// A digest of all parts of what is asked for.
#[derive(Default)]
pub(super) struct Asked(Sha256);

impl Asked {
    pub(super) fn part(mut self, bytes: &[u8]) -> Self {
        self.0.update((bytes.len() as u64).to_be_bytes());
        self.0.update(bytes);
        self
    }

    /// A text that may be left out.
    pub(super) fn maybe(self, text: Option<&str>) -> Self {
        match text {
            Some(text) => self.part(b"+").part(text.as_bytes()),
            None => self.part(b"-"),
        }
    }

    /// What has to be there.
    pub(super) fn expecting(self, expect: Expect) -> Self {
        match expect {
            Expect::Any => self.part(b"any"),
            Expect::Absent => self.part(b"absent"),
            Expect::Present => self.part(b"present"),
            Expect::Revision { creation, number } => {
                self.part(&creation.to_be_bytes()).part(&number.to_be_bytes())
            }
        }
    }

    /// JSON, in whatever order its keys are written; what is none as it is.
    pub(super) fn json(self, json: &[u8]) -> Self {
        self.json_but(json, |_| {})
    }

    /// The item of a delayed event, but for its `baggage`: that is of each request anew, and makes nothing another thing.
    pub(super) fn item(self, json: &[u8]) -> Self {
        self.json_but(json, |item| {
            let has_no_other = item.get_mut("headers").is_some_and(without_baggage);
            if let (Some(item), true) = (item.as_object_mut(), has_no_other) {
                item.remove("headers");
            }
        })
    }

    /// Its headers, which are nothing where there are none, but for that.
    pub(super) fn headers(self, json: &str) -> Self {
        match serde_json::from_str::<Value>(json).as_mut().is_ok_and(without_baggage) {
            true => self.json(b""),
            false => self.json_but(json.as_bytes(), |headers| {
                without_baggage(headers);
            }),
        }
    }

    fn json_but(self, json: &[u8], change: impl FnOnce(&mut Value)) -> Self {
        match serde_json::from_slice::<Value>(json) {
            Ok(mut value) => {
                change(&mut value);
                value.sort_all_objects();
                self.part(b"json").part(value.to_string().as_bytes())
            }
            Err(_) => self.part(b"text").part(json),
        }
    }

    pub(super) fn digest(self) -> Digest {
        self.0.finalize().into()
    }

    /// As the message of this id.
    pub(super) fn message(self, id: Option<String>) -> Option<Message> {
        id.map(|id| Message { id: id.into(), digest: self.digest() })
    }
}

/// Takes it from headers. Gives whether nothing else was there.
fn without_baggage(headers: &mut Value) -> bool {
    let removed = headers.as_object_mut().and_then(|headers| headers.remove("baggage").map(|_| headers));
    removed.is_some_and(|headers| headers.is_empty())
}

impl RunningClock {
    /// What was answered to a message, if it came before. Asked before anything else: what was done is no matter of what may be
    /// done now.
    pub(super) async fn answered(
        &self,
        caller: &Caller,
        message: Option<&Message>,
        changes: usize,
    ) -> Result<Option<Vec<Verdict>>, OpsError> {
        let Some(message) = message else { return Ok(None) };
        check_id(&message.id)?;
        let (owner, message) = (caller.owner().clone(), message.clone());
        let answer = self.ask(|reply| Command::Answered(owner, message, changes, reply)).await?;
        answer.map_err(|why| {
            OpsError::Unavailable(format!("what was answered before can't be written at present: {why}"))
        })
    }

    /// The same of what is one thing.
    pub(super) async fn answered_one(
        &self,
        caller: &Caller,
        name: &str,
        message: Option<&Message>,
    ) -> Result<Option<Verdict>, OpsError> {
        match self.answered(caller, message, 1).await?.and_then(|mut verdicts| verdicts.pop()) {
            Some(Verdict::Refused(refusal)) => Err(self.refused(caller, name, refusal).await),
            verdict => Ok(verdict),
        }
    }

    /// Why what is asked for about this schedule was refused.
    pub(super) async fn refused(&self, caller: &Caller, name: &str, refusal: Refusal) -> OpsError {
        match refusal {
            Refusal::OutsideDomains { event } => match caller.may_change(&event) {
                Err(denied) => denied.into(),
                // It does not run, and whose it will be when it comes back nobody knows.
                Ok(()) => caller.outside(format!("'{name}', which does not run,")).into(),
            },
            Refusal::NoSuchSchedule { name } => {
                match super::schedules::find(&self.clone().into(), &name).await {
                    Err(error) => error,
                    Ok(_) => OpsError::Unavailable(format!("{name} is there only now: try again")),
                }
            }
            refusal => OpsError::Unchanged { name: name.to_owned(), refusal, place: None },
        }
    }
}

/// Whether a message's id tells it from others, and can be kept.
pub(super) fn check_id(id: &str) -> Result<(), OpsError> {
    if (1..=MESSAGE_ID).contains(&id.len()) {
        return Ok(());
    }
    let what = format!("it has {} bytes; 1 to {MESSAGE_ID} are allowed", id.len());
    Err(OpsError::parameter("message_id", FaultCode::OutOfRange, what))
}

/// Who asks, to the loop.
pub(super) fn asker(caller: &Caller, message: Option<Message>) -> Box<Asker> {
    Box::new(Asker { message, ..Asker::new(caller.author()) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_the_same_in_whatever_order_its_keys_are_written() {
        let of = |json: &str| Asked::default().json(json.as_bytes()).digest();
        let first = of(r#"{"a":{"x":1,"y":[1,{"b":2,"c":3}]},"b":"t"}"#);
        assert_eq!(first, of(r#" {"b":"t", "a":{"y":[1,{"c":3,"b":2}],"x":1}}"#));
        for other in [r#"{"a":{"x":1,"y":[{"b":2,"c":3},1]},"b":"t"}"#, r#"{"a":{"x":1},"b":"t"}"#, "x", ""] {
            assert_ne!(first, of(other), "{other}");
        }
    }

    #[test]
    fn another_baggage_makes_nothing_another_thing() {
        let item = |json: &str| Asked::default().item(json.as_bytes()).digest();
        let plain = item(r#"{"event":"a.b.c"}"#);
        assert_eq!(plain, Asked::default().json(br#"{"event":"a.b.c"}"#).digest());
        assert_eq!(plain, item(r#"{"headers":{"baggage":"a=1"},"event":"a.b.c"}"#));
        let with = item(r#"{"event":"a.b.c","headers":{"tenant":"x"}}"#);
        assert_eq!(with, item(r#"{"event":"a.b.c","headers":{"baggage":"a=2","tenant":"x"}}"#));
        assert_ne!(with, plain);
        assert_ne!(plain, item(r#"{"event":"a.b.c","headers":{}}"#), "as before");
        let headers = |json: &str| Asked::default().headers(json).digest();
        assert_eq!(headers(""), Asked::default().json(b"").digest());
        assert_eq!(headers(""), headers(r#"{"baggage":"a=1"}"#));
        assert_eq!(headers(r#"{"tenant":"x"}"#), headers(r#"{"tenant":"x","baggage":"a=1"}"#));
        assert_eq!(headers(r#"{"tenant":"x"}"#), Asked::default().json(br#"{"tenant":"x"}"#).digest());
        for odd in ["x", "[]", r#"{"headers":7}"#] {
            assert_eq!(item(odd), Asked::default().json(odd.as_bytes()).digest(), "{odd}");
        }
    }

    #[test]
    fn nothing_is_another_thing_than_an_empty_text_and_parts_do_not_run_together() {
        let digests = [
            Asked::default().maybe(None),
            Asked::default().maybe(Some("")),
            Asked::default().part(b"ab").part(b"c"),
            Asked::default().part(b"a").part(b"bc"),
        ];
        let all: std::collections::BTreeSet<Digest> = digests.into_iter().map(Asked::digest).collect();
        assert_eq!(all.len(), 4);
    }
}
