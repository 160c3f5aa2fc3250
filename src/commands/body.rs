//! The body of a command. As strict as a schedule: a key that is not known, or given twice, is refused, and all that is wrong is
//! said at once, each at its JSON pointer. A definition or an item in it is left as it is written, and read as one over HTTP is.

use super::{command::CommandKind, request::Previewed};
use crate::{
    batch,
    engine::{Expect, OnResume},
    ops::{
        OpsError, Tag,
        delayed::{LONGEST_ITEM, items},
    },
    problem::Problem,
    schedule::{
        FaultCode,
        file::{Envelope, FieldFault, FieldFaults, LONGEST_JSON, object_from_json},
    },
};
use axum::http::StatusCode;
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::{Map, Value, value::RawValue};

/// The longest body: the longest definition, and room for what stands around it.
pub(super) const LONGEST: usize = LONGEST_JSON + (4 << 10);
/// The same of many events: as many as may be put at once, of 200 bytes each. The door holds as many bodies as are out at a time.
pub(super) const LONGEST_EVENTS: usize = 2 << 20;

/// The longest body of a command of this kind; of none that there is, as of most.
pub(super) fn longest(kind: Option<CommandKind>) -> usize {
    if kind == Some(CommandKind::EventsPut) { LONGEST_EVENTS } else { LONGEST }
}

/// What is said of a body of this many bytes, where they are too many.
pub(super) fn too_long(kind: Option<CommandKind>, bytes: usize) -> Option<Problem> {
    let longest = longest(kind);
    (bytes > longest).then(|| {
        let what = format!("the body has {bytes} bytes; {longest} are read, and it was not kept");
        Problem::new(StatusCode::PAYLOAD_TOO_LARGE, what)
    })
}

/// The keys of a body, with the values that were not taken from it yet.
pub(super) struct Body<'a> {
    kind: CommandKind,
    values: Map<String, Value>,
    /// What is left as it is written.
    written: Vec<(String, &'a RawValue)>,
}

impl<'a> Body<'a> {
    /// Reads the body of a message of this kind.
    ///
    /// # Errors
    /// All that is wrong with it.
    pub(super) fn read(kind: CommandKind, text: &'a [u8]) -> Result<Self, Problem> {
        // Where nothing needs to be said, nothing is.
        let text = if text.is_empty() { b"{}" } else { text };
        too_long(Some(kind), text.len()).map_or(Ok(()), Err)?;
        let envelope = Envelope {
            what: "the body of a command",
            keys: kind.keys(),
            apart: kind.written(),
            longest: longest(Some(kind)),
        };
        let (values, written) = object_from_json(text, &envelope).map_err(refused)?;
        let has = |key: &str| values.contains_key(key) || written.iter().any(|(there, _)| there == key);
        let missing: Vec<&str> = kind.needed().iter().copied().filter(|needed| !has(needed)).collect();
        if !missing.is_empty() {
            return Err(refused(faults(missing.into_iter().map(|key| missing_key(kind, key)))));
        }
        Ok(Self { kind, values, written })
    }

    /// The text under a key, which was read as one.
    pub(super) fn optional(&mut self, key: &str) -> Option<String> {
        match self.values.remove(key) {
            Some(Value::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The same of a key that is there.
    pub(super) fn text(&mut self, key: &str) -> String {
        self.optional(key).unwrap_or_default()
    }

    /// The number under a key, which was read as a count.
    pub(super) fn count(&mut self, key: &str) -> Option<u32> {
        self.values.remove(key).and_then(|count| count.as_u64()).and_then(|count| u32::try_from(count).ok())
    }

    /// What is to be listed: its keys are those of the query, and of their types.
    pub(super) fn whole<T: DeserializeOwned>(&mut self) -> Result<T, Problem> {
        let query = serde_json::from_value(Value::Object(std::mem::take(&mut self.values)));
        query.map_err(|error| Problem::bad(error.to_string()))
    }

    /// What a text under a key means.
    pub(super) fn parsed<T: DeserializeOwned>(
        &mut self,
        key: &str,
        expected: &str,
    ) -> Result<Option<T>, Problem> {
        let Some(value) = self.values.remove(key) else { return Ok(None) };
        serde_json::from_value(value).map(Some).map_err(|error| {
            let fault = fault(key, FaultCode::InvalidValue, format!("{key}: {error}"));
            refused(faults([FieldFault { expected: Some(expected.to_owned()), ..fault }]))
        })
    }

    /// What becomes of what fell due during a pause.
    pub(super) fn on_resume(&mut self) -> Result<Option<OnResume>, Problem> {
        self.parsed("on_resume", "catch-up or skip")
    }

    /// What has to be there.
    pub(super) fn expected(&mut self) -> Result<Expect, Problem> {
        let absent = self.flag("if_absent");
        match (self.optional("if_revision"), absent) {
            (None, false) => Ok(Expect::Any),
            (None, true) => Ok(Expect::Absent),
            (Some(tag), false) => tag.parse::<Tag>().map(Expect::from).map_err(|error| {
                let fault = fault("if_revision", FaultCode::InvalidValue, format!("if_revision: {error}"));
                refused(faults([FieldFault { expected: Some("17.3".to_owned()), ..fault }]))
            }),
            (Some(_), true) => {
                let what = "if_absent and if_revision exclude each other".to_owned();
                let fault = fault("if_absent", FaultCode::Conflict, what);
                let suggestion = Some("leave one of them out".to_owned());
                Err(refused(faults([FieldFault { suggestion, ..fault }])))
            }
        }
    }

    /// What is to be previewed.
    pub(super) fn previewed(&mut self) -> Result<Previewed, Problem> {
        match (self.optional("name"), self.definition()?) {
            (Some(name), None) => Ok(Previewed::Schedule(name)),
            (None, Some((_, definition))) => Ok(Previewed::Definition(definition)),
            (both, _) => {
                let (code, what) = match both {
                    Some(_) => (FaultCode::Conflict, "name and definition exclude each other"),
                    None => (FaultCode::MissingKey, "neither name nor definition is given"),
                };
                let help = "give one of them: the name of a schedule, or a definition that there is not yet";
                let fault = FieldFault {
                    pointer: String::new(),
                    suggestion: Some(help.to_owned()),
                    ..fault("", code, what.to_owned())
                };
                Err(refused(faults([fault])))
            }
        }
    }

    /// The definition, as it is written, and its name; that is empty where it has none, which is refused then.
    pub(super) fn definition(&mut self) -> Result<Option<(String, Vec<u8>)>, Problem> {
        self.named_object("definition", "the keys of a schedule", LONGEST_JSON)
    }

    /// The same of a delayed event's item, which may leave its name out.
    pub(super) fn item(&mut self) -> Result<Option<(String, Vec<u8>)>, Problem> {
        self.named_object("item", "the keys of a delayed event", LONGEST_ITEM)
    }

    fn named_object(
        &mut self,
        key: &str,
        of: &str,
        longest: usize,
    ) -> Result<Option<(String, Vec<u8>)>, Problem> {
        let Some(raw) = self.written(key) else { return Ok(None) };
        if !raw.starts_with('{') {
            let what = format!("{key} must be an object: {of}");
            let fault = fault(key, FaultCode::WrongType, what);
            return Err(refused(faults([FieldFault { expected: Some("an object".to_owned()), ..fault }])));
        }
        if raw.len() > longest {
            let what = format!("the {key} has {} bytes; {longest} are read", raw.len());
            return Err(Problem::new(StatusCode::PAYLOAD_TOO_LARGE, what));
        }
        Ok(Some((name_of(raw.as_bytes()), raw.as_bytes().to_vec())))
    }

    /// The definitions of a batch, each as it is written, and the names that they say.
    pub(super) fn definitions(&mut self) -> Result<(Vec<String>, Vec<Vec<u8>>), Problem> {
        let raw = self.list("definitions", "definitions")?;
        let definitions = batch::definitions(raw.as_bytes())?;
        let names = definitions.iter().map(|definition| name_of(definition));
        Ok((names.filter(|name| !name.is_empty()).collect(), definitions))
    }

    /// The items of a batch, as they are written, and the name that each says; that is empty where it says none.
    pub(super) fn items(&mut self) -> Result<(Vec<String>, Vec<u8>), Problem> {
        let raw = self.list("items", "delayed events")?;
        let items = items(raw.as_bytes())
            .map_err(|error| Problem::malformed(format!("items is no list of delayed events: {error}")))?;
        let names = items.into_iter().map(|item| name_of(item.get().as_bytes())).collect();
        Ok((names, raw.as_bytes().to_vec()))
    }

    fn list(&mut self, key: &str, of: &str) -> Result<&'a str, Problem> {
        let raw = self.written(key).unwrap_or("[]");
        if !raw.starts_with('[') {
            let fault = fault(key, FaultCode::WrongType, format!("{key} must be a list of {of}"));
            return Err(refused(faults([FieldFault { expected: Some("a list".to_owned()), ..fault }])));
        }
        Ok(raw)
    }

    /// Whether a key says so, which was read as true or false.
    pub(super) fn flag(&mut self, key: &str) -> bool {
        self.values.remove(key) == Some(Value::Bool(true))
    }

    fn written(&mut self, key: &str) -> Option<&'a str> {
        let at = self.written.iter().position(|(there, _)| there == key)?;
        Some(self.written.swap_remove(at).1.get())
    }

    /// It lacks a key that it needs.
    pub(super) fn lacks(&self, key: &str) -> Problem {
        refused(faults([missing_key(self.kind, key)]))
    }
}

/// The name that a definition says of itself; empty where it says none that can be read.
fn name_of(definition: &[u8]) -> String {
    #[derive(Deserialize)]
    struct Named {
        name: String,
    }
    serde_json::from_slice::<Named>(definition).map_or(String::new(), |named| named.name)
}

fn missing_key(kind: CommandKind, key: &str) -> FieldFault {
    fault(key, FaultCode::MissingKey, format!("{} needs the key '{key}'", kind.word()))
}

fn fault(key: &str, code: FaultCode, detail: String) -> FieldFault {
    FieldFault { pointer: format!("/{key}"), code, detail, expected: None, suggestion: None }
}

fn faults(list: impl IntoIterator<Item = FieldFault>) -> FieldFaults {
    FieldFaults { list: list.into_iter().collect(), more: 0 }
}

fn refused(faults: FieldFaults) -> Problem {
    OpsError::Definition(faults).into()
}
