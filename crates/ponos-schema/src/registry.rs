//! The events and tasks that a service publishes, each with its contract.

use super::{Contract, Mismatch, SchemaError};
use ponos_event::{EventName, InvalidName};
use schemars::JsonSchema;
use serde_json::{Map, Value};
use std::collections::BTreeMap;

/// The events and tasks that a service publishes. Undeclared ones are refused before anything is sent.
///
/// ```
/// # use ponos_schema::Registry;
/// #[derive(schemars::JsonSchema)]
/// struct Shipped { item: String }
///
/// let registry = Registry::new().event::<Shipped>("order.item.shipped")?;
/// let name = "order.item.shiped".parse()?;
/// let refused = registry.check(&name, &serde_json::json!({"item": "book"})).unwrap_err();
/// assert!(refused.to_string().contains("did you mean order.item.shipped?"));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default)]
pub struct Registry(BTreeMap<EventName, Contract>);

/// Why a declaration was refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RegistryError {
    /// The name is not valid.
    #[error("{name:?} can't be declared: {fault}")]
    Name {
        /// The text given.
        name: String,
        /// What is wrong with it.
        fault: InvalidName,
    },
    /// The name is declared twice.
    #[error("{0} is declared twice; a name has one contract")]
    Duplicate(EventName),
    /// The schema is not valid.
    #[error("{name}: {fault}")]
    Schema {
        /// Whose schema.
        name: EventName,
        /// What is wrong with it.
        fault: SchemaError,
    },
    /// The document does not have the form `{name: schema}`.
    #[error("a registry is a JSON object of the form {{name: schema}}")]
    NoObject,
}

/// Why a message may not be published. Nothing was sent.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PublishRefused {
    /// The service does not declare that it publishes this.
    #[error("this service does not declare that it publishes {name}{}", suggestion(.nearest.as_ref()))]
    Undeclared {
        /// What was to be published.
        name: EventName,
        /// The declared name that was probably meant.
        nearest: Option<EventName>,
    },
    /// The data does not fit the contract.
    #[error("the data of {name} does not fit its schema:\n{mismatch}")]
    Mismatch {
        /// What was to be published.
        name: EventName,
        /// What does not fit.
        mismatch: Mismatch,
    },
}

fn suggestion(nearest: Option<&EventName>) -> String {
    match nearest {
        Some(name) => format!("; did you mean {name}?"),
        None => "; declare it with its schema".into(),
    }
}

impl Registry {
    /// An empty registry.
    pub fn new() -> Self {
        Self::default()
    }

    /// Declares an event whose data is a `T`.
    pub fn event<T: JsonSchema>(self, name: &str) -> Result<Self, RegistryError> {
        let contract = Contract::of::<T>();
        self.add(name, contract)
    }

    /// Declares a task whose data is a `T`. Tasks and events share one space of names.
    pub fn task<T: JsonSchema>(self, name: &str) -> Result<Self, RegistryError> {
        self.event::<T>(name)
    }

    /// Declares an event or task with this contract.
    pub fn contract(self, name: &str, contract: Contract) -> Result<Self, RegistryError> {
        self.add(name, Ok(contract))
    }

    /// The registry of a document `{name: schema}`, as [`Registry::to_json`] writes it.
    pub fn from_json(document: &Value) -> Result<Self, RegistryError> {
        let schemas = document.as_object().ok_or(RegistryError::NoObject)?;
        let add = |registry: Self, (name, schema): (&String, &Value)| {
            registry.add(name, Contract::from_value(schema.clone()))
        };
        schemas.iter().try_fold(Self::new(), add)
    }

    /// One document `{name: schema}`, in the order of names.
    pub fn to_json(&self) -> Value {
        let schemas = self.0.iter().map(|(name, contract)| (name.to_string(), contract.schema().clone()));
        Value::Object(schemas.collect::<Map<_, _>>())
    }

    /// Checks that a message may be published: its name is declared and its data fits.
    pub fn check(&self, name: &EventName, data: &Value) -> Result<(), PublishRefused> {
        let Some(contract) = self.0.get(name) else {
            return Err(PublishRefused::Undeclared { name: name.clone(), nearest: self.nearest(name) });
        };
        contract.check(data).map_err(|mismatch| PublishRefused::Mismatch { name: name.clone(), mismatch })
    }

    /// The contract of a name.
    pub fn get(&self, name: &EventName) -> Option<&Contract> {
        self.0.get(name)
    }

    /// The declared names with their contracts, in the order of names.
    pub fn names(&self) -> impl ExactSizeIterator<Item = &EventName> {
        self.0.keys()
    }

    fn add(mut self, name: &str, contract: Result<Contract, SchemaError>) -> Result<Self, RegistryError> {
        let name: EventName = name
            .parse()
            .map_err(|fault| RegistryError::Name { name: name.chars().take(300).collect(), fault })?;
        let contract = contract.map_err(|fault| RegistryError::Schema { name: name.clone(), fault })?;
        if self.0.contains_key(&name) {
            return Err(RegistryError::Duplicate(name));
        }
        self.0.insert(name, contract);
        Ok(self)
    }

    /// Finds the name that was probably meant: one that differs in few letters. Names that share only their domain do not count.
    fn nearest(&self, name: &EventName) -> Option<EventName> {
        let distance = |known: &EventName| strsim::damerau_levenshtein(known.as_str(), name.as_str());
        let (known, distance) =
            self.0.keys().map(|known| (known, distance(known))).min_by_key(|(_, distance)| *distance)?;
        (distance <= (name.as_str().len() / 5).clamp(1, 4)).then(|| known.clone())
    }
}
