//! The operations on a clock, and the forms in which their results are shown (`views.rs`).

mod views;

pub use views::{
    CalendarView, History, ParkedDecision, ParkedIds, ParkedList, ParkedView, RefusedView, RowView,
    ScheduleList, ScheduleView,
};
pub(crate) use views::{OUTCOMES, outcome_word};
