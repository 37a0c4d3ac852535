//! Fault injection: which faults occur, and when.

use fastrand::Rng;

use crate::connector::{Call, Service};
use crate::invocation::{Function, Invocation};

/// A call to AWS before its execution.
#[derive(Debug)]
pub struct Io<'a> {
    /// The calling invocation; `None` for the test harness.
    pub invocation: &'a Invocation,
    /// Number of the call in its invocation, from 1.
    pub number: u32,
    /// The call.
    pub call: &'a Call,
}

/// The fault of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// No fault.
    None,
    /// Connection refused: not executed.
    Refused,
    /// Internal error: not executed.
    ServerError,
    /// Throttled: not executed.
    Throttled,
    /// Transaction conflict: not executed.
    Conflict,
    /// Executed; the connection breaks before the response.
    LostResponse,
    /// Executed; the response exceeds the time-out.
    LateResponse,
    /// Executed; the response is an internal error.
    ErrorAfter,
    /// A part of a batch is executed, and the response reports the rest.
    Partial,
    /// The function crashes before the call is executed.
    CrashBefore,
    /// The function crashes after the call is executed, before its response.
    CrashAfter,
}

impl Fault {
    /// All faults.
    pub const ALL: [Self; 10] = [
        Self::Refused,
        Self::ServerError,
        Self::Throttled,
        Self::Conflict,
        Self::LostResponse,
        Self::LateResponse,
        Self::ErrorAfter,
        Self::Partial,
        Self::CrashBefore,
        Self::CrashAfter,
    ];

    /// Returns the name in figures.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Refused => "refused",
            Self::ServerError => "server_error",
            Self::Throttled => "throttled",
            Self::Conflict => "conflict",
            Self::LostResponse => "lost_response",
            Self::LateResponse => "late_response",
            Self::ErrorAfter => "error_after",
            Self::Partial => "partial",
            Self::CrashBefore => "crash_before",
            Self::CrashAfter => "crash_after",
        }
    }

    /// Returns whether the fault can occur for a call.
    pub fn fits(self, call: &Call) -> bool {
        match self {
            Self::Conflict => {
                call.service == Service::DynamoDb
                    && matches!(
                        call.operation.as_str(),
                        "TransactWriteItems" | "UpdateItem" | "PutItem" | "DeleteItem"
                    )
            }
            Self::Partial => {
                let batches =
                    ["BatchWriteItem", "BatchGetItem", "PublishBatch", "ChangeMessageVisibilityBatch"];
                batches.contains(&call.operation.as_str())
            }
            _ => true,
        }
    }
}

/// Decides about faults. The defaults inject none.
pub trait FaultInjector: Send {
    /// Returns the fault of a call.
    fn io(&mut self, _: &Io<'_>) -> Fault {
        Fault::None
    }

    /// Returns whether the response of a function to its invoker is lost.
    fn loses_response(&mut self, _: Function) -> bool {
        false
    }

    /// Returns the delays, in milliseconds, of the copies of a message; one copy by default.
    fn copies(&mut self) -> Vec<i64> {
        vec![0]
    }

    /// Returns the delay of a stream batch, in milliseconds.
    fn stream_delay(&mut self) -> u64 {
        0
    }

    /// Returns whether a stream delivers processed records again.
    fn stream_repeats(&mut self) -> bool {
        false
    }

    /// Returns a batch size: that of the mapping, or less.
    fn batch(&mut self, limit: usize) -> usize {
        limit
    }
}

/// Injects no faults.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFaults;

impl FaultInjector for NoFaults {}

/// Frequencies of faults, per thousand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FaultProfile {
    /// Calls to AWS that fail.
    pub faults: u32,
    /// Calls to AWS at which the function crashes.
    pub crashes: u32,
    /// Calls to AWS from which on every call of the invocation fails in the same way, until it gives up or
    /// times out.
    pub persistent: u32,
    /// Lost responses of functions.
    pub lost_responses: u32,
    /// Messages delivered more than once, up to five times.
    pub copies: u32,
    /// Messages delivered late, and so out of order.
    pub late: u32,
    /// Delayed stream batches.
    pub stream_delays: u32,
    /// Repeated stream batches.
    pub stream_repeats: u32,
}

impl FaultProfile {
    /// All kinds of faults.
    pub const MODERATE: Self = Self {
        faults: 40,
        crashes: 8,
        persistent: 2,
        lost_responses: 20,
        copies: 150,
        late: 300,
        stream_delays: 100,
        stream_repeats: 50,
    };

    /// Nearly every operation meets a fault.
    pub const SEVERE: Self = Self {
        faults: 120,
        crashes: 30,
        persistent: 8,
        lost_responses: 60,
        copies: 400,
        late: 500,
        stream_delays: 300,
        stream_repeats: 200,
    };

    /// No faults, but duplicate and reordered messages.
    pub const NONE: Self = Self {
        faults: 0,
        crashes: 0,
        persistent: 0,
        lost_responses: 0,
        copies: 50,
        late: 200,
        stream_delays: 50,
        stream_repeats: 0,
    };
}

/// Injects faults at random.
#[derive(Debug)]
pub struct RandomFaults {
    random: Rng,
    profile: FaultProfile,
    /// Draws persistent faults separately, so that the other faults of a seed do not change.
    persistent: Rng,
    current: Option<(u64, Fault)>,
}

/// Faults that can persist.
const PERSISTENT: [Fault; 5] =
    [Fault::Refused, Fault::ServerError, Fault::Throttled, Fault::LostResponse, Fault::LateResponse];

impl RandomFaults {
    /// Creates an injector with a profile.
    pub fn new(random: Rng, profile: FaultProfile) -> Self {
        let persistent = random.clone().fork();
        Self { random, profile, persistent, current: None }
    }

    fn occurs(&mut self, per_thousand: u32) -> bool {
        self.random.u32(..1000) < per_thousand
    }
}

impl FaultInjector for RandomFaults {
    fn io(&mut self, io: &Io<'_>) -> Fault {
        if self.occurs(self.profile.crashes) {
            return if self.random.bool() { Fault::CrashBefore } else { Fault::CrashAfter };
        }
        if self.persistent.u32(..1000) < self.profile.persistent {
            self.current = Some((io.invocation.id, PERSISTENT[self.persistent.usize(..PERSISTENT.len())]));
        }
        if let Some((id, fault)) = self.current
            && id == io.invocation.id
        {
            return fault;
        }
        if !self.occurs(self.profile.faults) {
            return Fault::None;
        }
        let possible: Vec<_> = Fault::ALL
            .into_iter()
            .filter(|fault| !matches!(fault, Fault::CrashBefore | Fault::CrashAfter) && fault.fits(io.call))
            .collect();
        possible[self.random.usize(..possible.len())]
    }

    fn loses_response(&mut self, _: Function) -> bool {
        self.occurs(self.profile.lost_responses)
    }

    fn copies(&mut self) -> Vec<i64> {
        let copies = if self.occurs(self.profile.copies) { self.random.usize(2..=5) } else { 1 };
        let one = |_| match self.random.u32(..1000) {
            late if late < self.profile.late / 10 => self.random.i64(60_000..600_000),
            late if late < self.profile.late => self.random.i64(10..5_000),
            _ => 0,
        };
        (0..copies).map(one).collect()
    }

    fn stream_delay(&mut self) -> u64 {
        if !self.occurs(self.profile.stream_delays) {
            return 0;
        }
        // Sometimes longer than the minimum age of the sweep.
        if self.occurs(100) { self.random.u64(300_000..1_200_000) } else { self.random.u64(10..20_000) }
    }

    fn stream_repeats(&mut self) -> bool {
        self.occurs(self.profile.stream_repeats)
    }

    fn batch(&mut self, limit: usize) -> usize {
        self.random.usize(1..=limit)
    }
}
