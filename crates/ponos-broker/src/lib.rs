//! The broker as a port: a [`Publisher`], a [`Consumer`] and a [`Requester`], each a handle onto one task that owns its channels.
//!
//! Two adapters implement it: [`amqp`] (RabbitMQ through lapin) and [`memory`] (its twin on tokio time). Both are
//! held to `crates/ponos-broker/tests/broker_conformance`. What the port promises:
//!
//! * every publishing that was accepted gets exactly one [`Settlement`], whatever happens to the connection;
//! * publishings of one lane are written in the order submitted, on one channel (those that go where one was
//!   [`Refused`](PublishOutcome::Refused) before on another, so that they harm nobody);
//! * the adapter reconnects by itself, without end, and declares its [`Topology`](ponos_event::topology::Topology) again;
//!   [`Link`] shows its state;
//! * an exchange that is missing, or differs from its declaration, is never a message's fault: if the publisher declares it,
//!   that is an outage of the link, and it is declared again at once; if not, the outcome is
//!   [`Missing`](PublishOutcome::Missing).

pub mod amqp;
mod arrivals;
mod consume;
mod fence;
pub mod files;
mod flow;
mod link;
pub mod memory;
mod publish;
mod request;
mod resent;
pub mod shutdown;
pub mod stack;
mod transport;

pub use arrivals::Arrivals;
pub use consume::{Consumer, ConsumerTask, Delivery, DeliveryTag, Losses, Settle, Settler};
pub use fence::Fence;
pub use flow::{Consume, Flow, StreamStart};
pub use link::{Closed, Link, LinkError, LinkErrorClass, Unclosed};
#[doc(hidden)]
pub use publish::{NO_FRAME, TOO_DEEP};
pub use publish::{PublishOutcome, Publisher, PublisherTask, Publishing, Settlement};
pub use request::{DIRECT_REPLY, Request, RequestEnd, Requester, RequesterTask};
pub use resent::resent;
pub use transport::{QueueState, Transport};
