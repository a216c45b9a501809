//! A compiled guest, and a new instance of it for every call.

use std::{
    fmt,
    sync::mpsc::{self, RecvTimeoutError, Sender},
    thread,
    time::{Duration, Instant},
};

use wasmtime::{Config, Engine, ExternType, Instance, InstancePre, Linker, Module, Store, Trap};
use wasmtime_wasi::{
    Deterministic, HostMonotonicClock, HostWallClock, I32Exit, WasiCtxBuilder, p2::pipe::MemoryOutputPipe,
};

use crate::{
    error::Error,
    host_call::{Capabilities, HostCall},
    wapc::{self, GuestState},
};

const GUEST_CALL: &str = "__guest_call";
/// Called first, in this order, if the guest has them.
const INITIALIZERS: [&str; 2] = ["_start", "wapc_init"];
/// A deadline is met with this precision at worst, relative to its length.
const TICKS_PER_DEADLINE: u32 = 20;

/// What came of one call of a guest function.
#[derive(Clone, Debug)]
pub struct GuestAnswer {
    /// The bytes that the guest answered, or why there are none.
    pub outcome: Result<Vec<u8>, GuestFailure>,
    /// What the guest asked the host meanwhile.
    pub host_calls: Vec<HostCall>,
    /// The fuel used by initialization and call together, if it was counted. The same in every run.
    pub fuel: Option<u64>,
    /// From the new store to the answer: instantiation, initialization and the call.
    pub time: Duration,
    /// Size of the guest's linear memory at the end, in bytes.
    pub memory: usize,
    /// What the guest wrote to its standard output and error, and logged to the console: a panic's message, for example.
    pub output: String,
}

/// Why a guest gave no answer. Prints as waPC's error, which is what policy-server shows.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum GuestFailure {
    /// The guest said so, or returned without saying anything.
    Reported(String),
    /// The guest was stopped by a trap, a host function's error, or its own exit.
    Trapped {
        /// The text that policy-server shows, with the guest's stack. It changes with the version of Wasmtime.
        message: String,
        /// The cause alone.
        reason: String,
    },
    /// The guest was stopped because it took too long.
    DeadlineExceeded,
}

impl GuestFailure {
    /// The text alone, without waPC's name for the kind of error.
    pub fn text(&self) -> &str {
        match self {
            Self::Reported(message) | Self::Trapped { message, .. } => message,
            Self::DeadlineExceeded => "guest code interrupted, execution deadline exceeded",
        }
    }
}

impl fmt::Display for GuestFailure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "Guest call failure: {}", self.text())
    }
}

/// A module that is ready to be instantiated.
pub(crate) struct Guest {
    engine: Engine,
    instance_pre: InstancePre<GuestState>,
    count_fuel: bool,
    compile_time: Duration,
    /// Ends the ticker thread when it is dropped.
    _ticker: Sender<()>,
}

impl Guest {
    pub(crate) fn compile(wasm: &[u8], deadline: Duration, count_fuel: bool) -> Result<Self, Error> {
        let mut config = Config::new();
        config.epoch_interruption(true).consume_fuel(count_fuel);
        let engine = Engine::new(&config).map_err(Error::Engine)?;

        let start = Instant::now();
        let module = Module::new(&engine, wasm).map_err(Error::Compile)?;
        let compile_time = start.elapsed();

        match module.get_export(GUEST_CALL) {
            Some(ExternType::Func(_)) => {}
            _ => return Err(Error::NotWapc(format!("expected an exported function `{GUEST_CALL}`"))),
        }
        let mut linker = Linker::new(&engine);
        wapc::add_to_linker(&mut linker).map_err(Error::Engine)?;
        let instance_pre =
            linker.instantiate_pre(&module).map_err(|error| Error::NotWapc(format!("{error:#}")))?;
        let ticker = start_ticker(engine.clone(), deadline / TICKS_PER_DEADLINE);
        Ok(Self { engine, instance_pre, count_fuel, compile_time, _ticker: ticker })
    }

    pub(crate) fn compile_time(&self) -> Duration {
        self.compile_time
    }

    /// Calls one guest function in an instance of its own.
    pub(crate) fn call(
        &self,
        operation: &str,
        payload: &[u8],
        capabilities: Capabilities,
    ) -> Result<GuestAnswer, Error> {
        let output = MemoryOutputPipe::new(usize::MAX);
        let state = GuestState::new(self.wasi(&output).build_p1(), capabilities, operation, payload);

        let start = Instant::now();
        let mut store = Store::new(&self.engine, state);
        if self.count_fuel {
            store.set_fuel(u64::MAX).map_err(Error::Engine)?;
        }
        // Instantiation runs a start function, if there is one, which needs a deadline as well.
        self.set_deadline(&mut store);
        let instance = self.instance_pre.instantiate(&mut store).map_err(|error| Error::Initialization {
            function: "instantiate",
            message: format!("{error:#}"),
        })?;
        let outcome = match self.initialize(&mut store, &instance)? {
            Ok(()) => self.guest_call(&mut store, &instance, operation.len(), payload.len())?,
            Err(failure) => Err(failure),
        };
        let time = start.elapsed();

        let fuel = match self.count_fuel {
            true => Some(u64::MAX.saturating_sub(store.get_fuel().map_err(Error::Engine)?)),
            false => None,
        };
        let memory = instance.get_memory(&mut store, "memory").map_or(0, |memory| memory.data_size(&store));
        let GuestState { capabilities, console, .. } = store.into_data();
        let mut output = String::from_utf8_lossy(&output.contents()).into_owned();
        for line in console {
            output.push_str(&line);
            output.push('\n');
        }
        Ok(GuestAnswer { outcome, host_calls: capabilities.into_calls(), fuel, time, memory, output })
    }

    fn initialize(
        &self,
        store: &mut Store<GuestState>,
        instance: &Instance,
    ) -> Result<Result<(), GuestFailure>, Error> {
        for function in INITIALIZERS {
            if instance.get_export(&mut *store, function).is_none() {
                continue;
            }
            let failed =
                |error: wasmtime::Error| Error::Initialization { function, message: error.to_string() };
            let initializer = instance.get_typed_func::<(), ()>(&mut *store, function).map_err(failed)?;
            self.set_deadline(store);
            match initializer.call(&mut *store, ()) {
                Ok(()) => {}
                Err(error) if is_interrupt(&error) => return Ok(Err(GuestFailure::DeadlineExceeded)),
                // TinyGo's `main` ends with an exit.
                Err(error) if error.downcast_ref::<I32Exit>().is_some_and(|exit| exit.0 == 0) => {}
                Err(error) => return Err(failed(error)),
            }
        }
        Ok(Ok(()))
    }

    fn guest_call(
        &self,
        store: &mut Store<GuestState>,
        instance: &Instance,
        operation_length: usize,
        payload_length: usize,
    ) -> Result<Result<Vec<u8>, GuestFailure>, Error> {
        let length = |length: usize| {
            i32::try_from(length).map_err(|_| Error::NotWapc("expected a payload below 2 GiB".to_owned()))
        };
        let arguments = (length(operation_length)?, length(payload_length)?);
        let function = instance
            .get_typed_func::<(i32, i32), i32>(&mut *store, GUEST_CALL)
            .map_err(|error| Error::NotWapc(error.to_string()))?;
        self.set_deadline(store);
        let succeeded = match function.call(&mut *store, arguments) {
            Ok(status) => status != 0,
            Err(error) if is_interrupt(&error) => return Ok(Err(GuestFailure::DeadlineExceeded)),
            Err(error) => {
                let reason = error
                    .downcast_ref::<Trap>()
                    .map_or_else(|| error.root_cause().to_string(), ToString::to_string);
                return Ok(Err(GuestFailure::Trapped { message: error.to_string(), reason }));
            }
        };
        let state = store.data_mut();
        let (response, error) = (state.response.take(), state.error.take());
        Ok(match (succeeded, response, error) {
            (true, Some(response), _) => Ok(response),
            (_, _, Some(message)) => Err(GuestFailure::Reported(message)),
            (true, None, None) => {
                Err(GuestFailure::Reported("No error message OR response set for call success".to_owned()))
            }
            (false, _, None) => {
                Err(GuestFailure::Reported("No error message set for call failure".to_owned()))
            }
        })
    }

    /// The ticker does not wait for the call, so that the first tick may come at once: it does not count.
    fn set_deadline(&self, store: &mut Store<GuestState>) {
        store.set_epoch_deadline(u64::from(TICKS_PER_DEADLINE) + 1);
    }

    fn wasi(&self, output: &MemoryOutputPipe) -> WasiCtxBuilder {
        let mut wasi = WasiCtxBuilder::new();
        wasi.stdout(output.clone()).stderr(output.clone());
        if self.count_fuel {
            // Hash maps are seeded with random numbers, and how long they take depends on the seed.
            wasi.secure_random(Deterministic::new(vec![0x5a, 0xa5, 0x3c, 0xc3]))
                .insecure_random(Deterministic::new(vec![0x5a, 0xa5, 0x3c, 0xc3]))
                .insecure_random_seed(0)
                .wall_clock(FrozenClock)
                .monotonic_clock(FrozenClock);
        }
        wasi
    }
}

fn is_interrupt(error: &wasmtime::Error) -> bool {
    matches!(error.downcast_ref::<Trap>(), Some(Trap::Interrupt))
}

/// A clock for guests whose fuel is counted.
struct FrozenClock;

impl HostWallClock for FrozenClock {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::from_secs(1_700_000_000)
    }
}

impl HostMonotonicClock for FrozenClock {
    fn resolution(&self) -> u64 {
        1
    }

    fn now(&self) -> u64 {
        0
    }
}

/// Advances the engine's epoch until the returned sender is dropped.
fn start_ticker(engine: Engine, interval: Duration) -> Sender<()> {
    let (sender, stopped) = mpsc::channel();
    let interval = interval.max(Duration::from_millis(1));
    thread::spawn(move || {
        while stopped.recv_timeout(interval) == Err(RecvTimeoutError::Timeout) {
            engine.increment_epoch();
        }
    });
    sender
}
