//! Which processor does what: the generator has one of its own, and processor time of the whole machine.

use std::path::PathBuf;
use std::time::Duration;

use rustix::process::Pid;
use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use rustix::time::{ClockId, clock_gettime};

/// The processors that this process may use.
#[derive(Debug, Clone)]
pub(crate) struct Processors {
    all: CpuSet,
    /// The generator's.
    last: usize,
    /// What the kernel's thread for packets on that one has worked, if it can be seen.
    packets_thread: Option<PathBuf>,
}

impl Processors {
    pub(crate) fn of_this_process() -> Self {
        let all = sched_getaffinity(None).unwrap_or_else(|_| CpuSet::new());
        let last = (0..CpuSet::MAX_CPU).rev().find(|processor| all.is_set(*processor)).unwrap_or(0);
        Self { all, last, packets_thread: thread_for_packets(last) }
    }

    /// How many there are.
    pub(crate) fn count(&self) -> u32 {
        self.all.count()
    }

    /// Keeps the calling thread to the generator's. Without the right to, it is measured all the same.
    pub(crate) fn take_last(&self) {
        let mut one = CpuSet::new();
        one.set(self.last);
        let _ = sched_setaffinity(None, &one);
    }

    /// Keeps the calling thread from the generator's, if there are others.
    pub(crate) fn leave_last(&self) {
        let _ = sched_setaffinity(None, &self.others());
    }

    /// Keeps all threads of a process from the generator's, if there are others.
    pub(crate) fn keep_off(&self, process: u32) {
        Self::confine(process, &self.others());
    }

    /// Lets all threads of a process run wherever they like.
    pub(crate) fn set_free(&self, process: u32) {
        Self::confine(process, &self.all);
    }

    fn confine(process: u32, processors: &CpuSet) {
        let tasks = std::fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
        for task in tasks.filter_map(|task| task.file_name().to_str()?.parse::<i32>().ok()) {
            let _ = sched_setaffinity(Pid::from_raw(task), processors);
        }
    }

    /// Processor time of the calling thread, and of the kernel's thread that handles packets on the generator's processor when there are
    /// many. What the kernel does for packets in the midst of a thread counts as the thread's (unless it keeps separate accounts,
    /// CONFIG_IRQ_TIME_ACCOUNTING).
    pub(crate) fn worked(&self) -> Duration {
        let own = clock_gettime(ClockId::ThreadCPUTime);
        let own = Duration::new(own.tv_sec.cast_unsigned(), u32::try_from(own.tv_nsec).unwrap_or(0));
        let text = self.packets_thread.as_ref().and_then(|file| std::fs::read_to_string(file).ok());
        let first = text.as_deref().and_then(|text| text.split_whitespace().next()?.parse().ok());
        own + Duration::from_nanos(first.unwrap_or(0))
    }

    fn others(&self) -> CpuSet {
        let mut others = self.all;
        if others.count() > 1 {
            others.unset(self.last);
        }
        others
    }
}

/// Where the kernel tells how long ksoftirqd of a processor has run; none in a PID namespace without kernel threads.
fn thread_for_packets(processor: usize) -> Option<PathBuf> {
    let name = format!("ksoftirqd/{processor}\n");
    let processes = std::fs::read_dir("/proc").ok()?.flatten().map(|entry| entry.path());
    let mut threads =
        processes.filter(|path| std::fs::read_to_string(path.join("comm")).is_ok_and(|comm| comm == name));
    threads.next().map(|path| path.join("schedstat"))
}

/// Time that all processors of the machine worked since it was started; none if the kernel does not tell.
pub(crate) fn busy() -> Option<Duration> {
    busy_in(&std::fs::read_to_string("/proc/stat").ok()?, rustix::param::clock_ticks_per_second())
}

/// User, nice and system time, and that of interrupts.
fn busy_in(stat: &str, ticks_per_second: u64) -> Option<Duration> {
    let numbers = stat.lines().next()?.strip_prefix("cpu ")?.split_whitespace();
    let numbers: Vec<u64> = numbers.map(str::parse).collect::<Result<_, _>>().ok()?;
    let ticks: u64 = [0, 1, 2, 5, 6].iter().map(|place| numbers.get(*place).copied().unwrap_or(0)).sum();
    Some(Duration::from_secs_f64(ticks as f64 / ticks_per_second as f64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn idle_time_is_no_work() {
        let stat = "cpu  100 1 20 5000 300 3 6 70 0 0\ncpu0 50 0 10 2500 150 1 3 35 0 0\n";
        assert_eq!(busy_in(stat, 100), Some(Duration::from_millis(1300)));
        assert_eq!(busy_in("", 100), None);
    }
}
