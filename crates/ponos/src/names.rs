//! Names of tasks and events that carry the type of their data: who sends and who handles can't mean different ones.
//!
//! ```
//! use ponos::{Task, Event, prelude::*, testing::Kit};
//! use serde::{Deserialize, Serialize};
//!
//! #[derive(Debug, Serialize, Deserialize, ponos::schemars::JsonSchema)]
//! #[schemars(crate = "ponos::schemars")]
//! struct Cleanup { older_than_days: u32 }
//!
//! const CLEANUP: Task<Cleanup> = Task::new("docker.images.cleanup");
//! const DAY: Event<TimePassed> = Event::new("time.one-day.passed");
//!
//! let worker = Worker::new("docker")
//!     .on(DAY, |_, ctx| async move {
//!         ctx.task(CLEANUP, &Cleanup { older_than_days: 7 })?;
//!         Ok(Done)
//!     })
//!     // the types of both arguments follow from the name
//!     .task(CLEANUP, |task, _| async move {
//!         tracing::info!("images older than {} days go", task.older_than_days);
//!         Ok(Done)
//!     });
//! worker.ready().unwrap();
//! ```
//!
//! ```compile_fail
//! # use ponos::{Task, prelude::*};
//! const CLEANUP: Task<u32> = Task::new("docker.images.cleanup");
//! async fn handler(_: serde_json::Value, ctx: Context) -> HandlerResult {
//!     ctx.task(CLEANUP, &"seven")?;
//!     Ok(Done)
//! }
//! ```

use std::{fmt, marker::PhantomData};

/// The name of a task whose data are a `T`. Whether it is a valid name is checked where it is used.
pub struct Task<T>(&'static str, PhantomData<fn() -> T>);

/// The name of an event, or a topic pattern, whose data are a `T`. Whether it is a valid one is checked where it is used.
pub struct Event<T>(&'static str, PhantomData<fn() -> T>);

/// What names a task with data of type `T`: a [`Task`], or a text, which goes with any type.
pub trait NamesTask<T> {
    /// The name.
    fn text(&self) -> &str;
}

/// What names an event with data of type `T`: an [`Event`], or a text, which goes with any type.
pub trait NamesEvent<T> {
    /// The name.
    fn text(&self) -> &str;
}

macro_rules! typed {
    ($name:ident, $names:ident) => {
        impl<T> $name<T> {
            /// The name of this text.
            pub const fn new(name: &'static str) -> Self {
                Self(name, PhantomData)
            }

            /// The name as text.
            pub const fn name(self) -> &'static str {
                self.0
            }
        }

        impl<T> Clone for $name<T> {
            fn clone(&self) -> Self {
                *self
            }
        }

        impl<T> Copy for $name<T> {}

        impl<T> fmt::Debug for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_tuple(stringify!($name)).field(&self.0).finish()
            }
        }

        impl<T> fmt::Display for $name<T> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.0)
            }
        }

        impl<T> $names<T> for $name<T> {
            fn text(&self) -> &str {
                self.0
            }
        }

        impl<T, N: AsRef<str> + ?Sized> $names<T> for &N {
            fn text(&self) -> &str {
                (**self).as_ref()
            }
        }
    };
}

typed!(Task, NamesTask);
typed!(Event, NamesEvent);
