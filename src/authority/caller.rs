//! The caller of an operation, and what he may do.

use super::{Denied, Domains, Quota, Rate, TooOften, door::Door, token::TokenId};
use crate::engine::Author;
use ponos::event::SpanContext;
use std::{fmt, sync::Arc, time::Duration};
use tokio::time::Instant;

/// The owner's name of whoever comes by the control socket.
pub const OPERATOR: &str = "operator";
/// The owner's name of whoever comes to a clock that is open to its machine.
pub const OPEN: &str = "anybody";
/// The owner's name of whoever comes without a token and may read.
pub const READER: &str = "reader";

/// What a caller may do; each role may do what those before it may.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Role {
    /// See everything.
    Read,
    /// Change how the clock runs, not what it is to do: parked events, reading files again.
    Operate,
    /// Change what the clock is to do: schedules at run time.
    Write,
    /// All of that, whatever the event and whoever owns it.
    Admin,
}

impl Role {
    /// All of them, by their words.
    pub const WORDS: [(&'static str, Self); 4] =
        [("read", Self::Read), ("operate", Self::Operate), ("write", Self::Write), ("admin", Self::Admin)];

    /// Its word.
    pub fn word(self) -> &'static str {
        match self {
            Self::Read => "read",
            Self::Operate => "operate",
            Self::Write => "write",
            Self::Admin => "admin",
        }
    }

    /// Whether its changes may be limited to some domains: one that changes nothing, or everything, has none.
    pub fn has_domains(self) -> bool {
        matches!(self, Self::Operate | Self::Write)
    }
}

/// Who asks, and what he may do.
#[derive(Debug, Clone)]
pub struct Caller {
    owner: Arc<str>,
    role: Role,
    domains: Domains,
    /// To which queues he may send tasks; without, to none.
    tasks: Option<Domains>,
    door: Door,
    /// At which his owner may change something; without, at any.
    rate: Option<Arc<Rate>>,
    /// At which he may change schedules, and what these may be; without, at any, and anything.
    quota: Option<(Arc<Rate>, Quota)>,
    /// The trace in which he asks.
    trace: Option<SpanContext>,
}

impl PartialEq for Caller {
    /// Who he is, and what he may do; not how much of it he did.
    fn eq(&self, other: &Self) -> bool {
        (&self.owner, self.role, &self.domains, &self.tasks, &self.door)
            == (&other.owner, other.role, &other.domains, &other.tasks, &other.door)
    }
}

impl Eq for Caller {}

impl Caller {
    /// Whoever may open the control socket.
    pub fn operator() -> Self {
        Self::of_everything(OPERATOR, Role::Admin, Door::ControlSocket)
    }

    /// Whoever reaches a clock that is open to its machine.
    pub fn anybody() -> Self {
        Self::of_everything(OPEN, Role::Admin, Door::Open)
    }

    /// Whoever comes without a token, and may read.
    pub fn reader() -> Self {
        Self::of_everything(READER, Role::Read, Door::Unnamed)
    }

    /// The holder of a token.
    pub fn holder(id: TokenId, owner: &str, role: Role, domains: Domains) -> Self {
        Self::by(Door::Token(id), owner, role, domains)
    }

    /// The same, who may send tasks to the queues that these cover, too. Whoever may do everything may send them to all.
    #[must_use]
    pub fn sending(self, tasks: Option<Domains>) -> Self {
        if self.is_admin() { self } else { Self { tasks, ..self } }
    }

    /// The same, whose owner changes things at this rate.
    #[must_use]
    pub fn at_rate(self, rate: Arc<Rate>) -> Self {
        Self { rate: Some(rate), ..self }
    }

    /// The same, who may take so much.
    #[must_use]
    pub fn within(self, quota: Quota) -> Self {
        let rate = Rate::new(quota.puts_a_second, quota.puts_a_second);
        self.taking(Arc::new(rate), quota)
    }

    /// The same, who takes changes of schedules from this rate.
    #[must_use]
    pub fn taking(self, puts: Arc<Rate>, quota: Quota) -> Self {
        Self { quota: Some((puts, quota)), ..self }
    }

    /// The same, who asks in this trace, if he says one.
    #[must_use]
    pub fn in_trace(self, trace: Option<SpanContext>) -> Self {
        Self { trace, ..self }
    }

    /// The trace in which he asks.
    pub fn trace(&self) -> Option<SpanContext> {
        self.trace
    }

    /// A user of the broker.
    pub fn of_broker(user: &str, owner: &str, role: Role, domains: Domains) -> Self {
        Self::by(Door::Broker(user.into()), owner, role, domains)
    }

    fn of_everything(owner: &str, role: Role, door: Door) -> Self {
        Self::by(door, owner, role, Domains::everything())
    }

    fn by(door: Door, owner: &str, role: Role, domains: Domains) -> Self {
        let tasks = (role == Role::Admin).then(Domains::everything);
        Self { owner: owner.into(), role, domains, tasks, door, rate: None, quota: None, trace: None }
    }

    /// His role, the domains of the events that he may change something about, and of the queues that he may send tasks to.
    pub fn scope(&self) -> (Role, &Domains, Option<&Domains>) {
        (self.role, &self.domains, self.tasks.as_ref())
    }

    /// Whose name stands by what he changes, and by what he takes.
    pub fn owner(&self) -> &Arc<str> {
        &self.owner
    }

    /// So many delayed events of his owner may be pending; without, any number.
    pub fn most_delayed_events(&self) -> Option<u64> {
        self.quota.as_ref().and_then(|(_, quota)| quota.delayed_events)
    }

    /// Takes so many changes of schedules or delayed events from what he may do.
    ///
    /// # Errors
    /// [`Denied::TooOften`].
    pub fn take_puts(&self, count: u32, now: Instant) -> Result<(), Denied> {
        let Some((rate, _)) = &self.quota else { return Ok(()) };
        rate.take(count, now)
            .map_err(|TooOften(wait)| Denied::TooOften { owner: self.owner.to_string(), wait })
    }

    /// Takes so many more, which may be more than there are at once: those that follow wait for them.
    pub fn owe_puts(&self, count: u32, now: Instant) {
        if let Some((rate, _)) = &self.quota {
            rate.owe(count, now);
        }
    }

    /// No schedule that he creates may come more often.
    pub fn least_interval(&self) -> Duration {
        self.quota.as_ref().map_or(Duration::ZERO, |(_, quota)| quota.least_interval)
    }

    /// Whether he may change what others created.
    pub fn is_admin(&self) -> bool {
        self.role == Role::Admin
    }

    /// Whether he showed a token.
    pub fn has_token(&self) -> bool {
        matches!(self.door, Door::Token(_))
    }

    /// Takes one change of how the clock runs from what his owner may do.
    ///
    /// # Errors
    /// [`Denied::TooOften`].
    pub fn take_change(&self, now: Instant) -> Result<(), Denied> {
        let Some(rate) = &self.rate else { return Ok(()) };
        rate.take(1, now).map_err(|TooOften(wait)| Denied::TooOften { owner: self.owner.to_string(), wait })
    }

    /// Takes so many more, which show as they are done: those that follow wait for them.
    pub fn owe_changes(&self, count: u32, now: Instant) {
        if let Some(rate) = &self.rate {
            rate.owe(count, now);
        }
    }

    /// Whether he may do `what` at all, such as "release parked events".
    ///
    /// # Errors
    /// [`Denied`].
    pub fn may(&self, needed: Role, what: &'static str) -> Result<(), Denied> {
        if self.role >= needed {
            return Ok(());
        }
        Err(match self.door {
            Door::Unnamed => Denied::NoToken { what },
            _ => Denied::Role { who: self.to_string(), role: self.role, needed, what },
        })
    }

    /// Whether nothing is outside of his domains.
    pub fn is_of_everything(&self) -> bool {
        self.domains.are_everything()
    }

    /// The same, and no queue of tasks is closed to him either.
    pub fn is_of_all_events_and_tasks(&self) -> bool {
        self.is_of_everything() && self.tasks.as_ref().is_some_and(Domains::are_everything)
    }

    /// Whether something of this event is his to change.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn may_change(&self, event: &str) -> Result<(), Denied> {
        match self.domains.cover(event) {
            true => Ok(()),
            false => Err(self.outside(format!("the event '{event}'"))),
        }
    }

    /// Whether he may send tasks to this queue, and change those that are to be sent to it.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn may_send_tasks(&self, queue: &str) -> Result<(), Denied> {
        match &self.tasks {
            Some(tasks) if tasks.cover(queue) => Ok(()),
            tasks => Err(Denied::Tasks {
                who: self.to_string(),
                tasks: tasks.as_ref().map(ToString::to_string),
                queue: queue.to_owned(),
            }),
        }
    }

    /// Whether he may do `what`, which concerns all events.
    ///
    /// # Errors
    /// [`Denied`].
    pub fn may_change_everything(&self, what: &str) -> Result<(), Denied> {
        match self.is_of_everything() {
            true => Ok(()),
            false => Err(self.outside(format!("to {what} concerns all events, and that"))),
        }
    }

    /// Who he is known to be, and as whom he signs: nobody signs in another's name. Whoever may open the control socket is
    /// believed.
    pub fn signed(&self, name: &str) -> String {
        match self.door {
            Door::ControlSocket => name.to_owned(),
            _ => format!("{self} as {name}"),
        }
    }

    /// Who he is to those who decide about changes of schedules.
    pub fn author(&self) -> Author {
        let (domains, tasks) = (self.domains.clone(), self.tasks.clone());
        Author {
            owner: self.owner.clone(),
            door: self.door.to_string().into(),
            door_kind: self.door.kind(),
            is_admin: self.role == Role::Admin,
            is_of_everything: self.is_of_everything(),
            most: self.quota.as_ref().and_then(|(_, quota)| quota.schedules),
            covers: Arc::new(move |event| domains.cover(event)),
            reaches: Arc::new(move |queue| tasks.as_ref().is_some_and(|tasks| tasks.cover(queue))),
        }
    }

    /// Why something is not his to change.
    pub fn outside(&self, what: String) -> Denied {
        Denied::Domain { who: self.to_string(), domains: self.domains.to_string(), what }
    }
}

impl fmt::Display for Caller {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.door {
            Door::Token(id) => write!(f, "the token {id} of '{}'", self.owner),
            Door::ControlSocket => write!(f, "{} (control socket)", self.owner),
            Door::Open | Door::Unnamed => write!(f, "{} (HTTP)", self.owner),
            Door::Broker(user) => write!(f, "the broker's user '{user}' of '{}'", self.owner),
        }
    }
}

#[cfg(test)]
mod tests;
