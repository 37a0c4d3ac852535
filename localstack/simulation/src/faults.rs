//! What goes wrong, and when.

use fastrand::Rng;

use crate::connector::{Call, Service};
use crate::invocation::{Function, Invocation};

/// A call to AWS that is about to be made.
#[derive(Debug)]
pub struct Io<'a> {
    /// Who makes it; none if the harness does.
    pub invocation: &'a Invocation,
    /// The number of the call in its invocation, from 1.
    pub number: u32,
    /// The call.
    pub call: &'a Call,
}

/// What becomes of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Fault {
    /// Nothing goes wrong.
    None,
    /// No connection: nothing was done.
    Refused,
    /// An internal error: nothing was done.
    ServerError,
    /// Too much at once: nothing was done.
    Throttled,
    /// Another transaction was there: nothing was done.
    Conflict,
    /// It was done, and the connection broke before the answer came.
    LostAnswer,
    /// It was done, and the answer does not come in time.
    LateAnswer,
    /// It was done, and the answer is an internal error.
    ErrorAfter,
    /// Only a part of a batch was done, and the answer says so.
    Partial,
    /// The function dies before the call has an effect.
    CrashBefore,
    /// The function dies after the call had its effect, before it hears of it.
    CrashAfter,
}

impl Fault {
    /// Every fault that there is.
    pub const ALL: [Self; 10] = [
        Self::Refused,
        Self::ServerError,
        Self::Throttled,
        Self::Conflict,
        Self::LostAnswer,
        Self::LateAnswer,
        Self::ErrorAfter,
        Self::Partial,
        Self::CrashBefore,
        Self::CrashAfter,
    ];

    /// The word for it in figures.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Refused => "refused",
            Self::ServerError => "server_error",
            Self::Throttled => "throttled",
            Self::Conflict => "conflict",
            Self::LostAnswer => "lost_answer",
            Self::LateAnswer => "late_answer",
            Self::ErrorAfter => "error_after",
            Self::Partial => "partial",
            Self::CrashBefore => "crash_before",
            Self::CrashAfter => "crash_after",
        }
    }

    /// Whether this can happen to such a call.
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
                matches!(call.operation.as_str(), "BatchWriteItem" | "BatchGetItem" | "PublishBatch")
            }
            _ => true,
        }
    }
}

/// Decides what goes wrong. Everything goes well unless it says otherwise.
pub trait FaultInjector: Send {
    /// What becomes of a call.
    fn io(&mut self, _: &Io<'_>) -> Fault {
        Fault::None
    }

    /// Whether an answer of a function is lost on its way to whoever invoked it.
    fn loses_answer(&mut self, _: Function) -> bool {
        false
    }

    /// How late, in milliseconds, each copy of a message arrives in a queue; one copy if all is well.
    fn copies(&mut self) -> Vec<i64> {
        vec![0]
    }

    /// How long, in milliseconds, a stream waits before it hands on what it has.
    fn stream_delay(&mut self) -> u64 {
        0
    }

    /// Whether a stream hands on again what was done already.
    fn stream_repeats(&mut self) -> bool {
        false
    }

    /// A batch size: that of the mapping, or less.
    fn batch(&mut self, most: usize) -> usize {
        most
    }
}

/// Nothing goes wrong.
#[derive(Debug, Clone, Copy, Default)]
pub struct NoFaults;

impl FaultInjector for NoFaults {}

/// How often things go wrong, in a thousand.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct FaultProfile {
    /// Calls to AWS that fail in some way.
    pub faults: u32,
    /// Calls to AWS at which a function dies.
    pub crashes: u32,
    /// Calls to AWS from which on every call of that run of a function fails in the same way, until it gives up or
    /// runs into its time-out.
    pub spells: u32,
    /// Answers of functions that are lost.
    pub lost_answers: u32,
    /// Messages that arrive more than once, up to five times.
    pub copies: u32,
    /// Messages that arrive late, and so out of order.
    pub late: u32,
    /// Batches of a stream that come late.
    pub stream_delays: u32,
    /// Batches of a stream that come again.
    pub stream_repeats: u32,
}

impl FaultProfile {
    /// The whole mix.
    pub const MODERATE: Self = Self {
        faults: 40,
        crashes: 8,
        spells: 2,
        lost_answers: 20,
        copies: 150,
        late: 300,
        stream_delays: 100,
        stream_repeats: 50,
    };

    /// Nearly everything fails at some point.
    pub const SEVERE: Self = Self {
        faults: 120,
        crashes: 30,
        spells: 8,
        lost_answers: 60,
        copies: 400,
        late: 500,
        stream_delays: 300,
        stream_repeats: 200,
    };

    /// No faults; messages come twice and out of order all the same.
    pub const NONE: Self = Self {
        faults: 0,
        crashes: 0,
        spells: 0,
        lost_answers: 0,
        copies: 50,
        late: 200,
        stream_delays: 50,
        stream_repeats: 0,
    };
}

/// Things go wrong by chance.
#[derive(Debug)]
pub struct RandomFaults {
    random: Rng,
    profile: FaultProfile,
    /// Decides on spells alone, so that a seed's other faults stay where they are.
    spells: Rng,
    spell: Option<(u64, Fault)>,
}

/// What can last.
const LASTING: [Fault; 5] =
    [Fault::Refused, Fault::ServerError, Fault::Throttled, Fault::LostAnswer, Fault::LateAnswer];

impl RandomFaults {
    /// A storm of this strength.
    pub fn new(random: Rng, profile: FaultProfile) -> Self {
        let spells = random.clone().fork();
        Self { random, profile, spells, spell: None }
    }

    fn strikes(&mut self, per_thousand: u32) -> bool {
        self.random.u32(..1000) < per_thousand
    }
}

impl FaultInjector for RandomFaults {
    fn io(&mut self, io: &Io<'_>) -> Fault {
        if self.strikes(self.profile.crashes) {
            return if self.random.bool() { Fault::CrashBefore } else { Fault::CrashAfter };
        }
        if self.spells.u32(..1000) < self.profile.spells {
            self.spell = Some((io.invocation.id, LASTING[self.spells.usize(..LASTING.len())]));
        }
        if let Some((id, fault)) = self.spell
            && id == io.invocation.id
        {
            return fault;
        }
        if !self.strikes(self.profile.faults) {
            return Fault::None;
        }
        let possible: Vec<_> = Fault::ALL
            .into_iter()
            .filter(|fault| !matches!(fault, Fault::CrashBefore | Fault::CrashAfter) && fault.fits(io.call))
            .collect();
        possible[self.random.usize(..possible.len())]
    }

    fn loses_answer(&mut self, _: Function) -> bool {
        self.strikes(self.profile.lost_answers)
    }

    fn copies(&mut self) -> Vec<i64> {
        let copies = if self.strikes(self.profile.copies) { self.random.usize(2..=5) } else { 1 };
        let one = |_| match self.random.u32(..1000) {
            late if late < self.profile.late / 10 => self.random.i64(60_000..600_000),
            late if late < self.profile.late => self.random.i64(10..5_000),
            _ => 0,
        };
        (0..copies).map(one).collect()
    }

    fn stream_delay(&mut self) -> u64 {
        if !self.strikes(self.profile.stream_delays) {
            return 0;
        }
        // Now and then for long enough that the sweep is faster.
        if self.strikes(100) { self.random.u64(300_000..1_200_000) } else { self.random.u64(10..20_000) }
    }

    fn stream_repeats(&mut self) -> bool {
        self.strikes(self.profile.stream_repeats)
    }

    fn batch(&mut self, most: usize) -> usize {
        self.random.usize(1..=most)
    }
}
