//! What the machine says of itself.

use std::fs;

use anyhow::Result;

use crate::process::field;

/// A line about processor, memory, system and load.
///
/// # Errors
/// Where there is no /proc.
pub fn describe() -> Result<String> {
    let processors = fs::read_to_string("/proc/cpuinfo")?;
    let model = field(&processors, "model name").unwrap_or("unknown processor");
    let count = processors
        .lines()
        .filter(|line| line.starts_with("processor"))
        .count();
    let memory = fs::read_to_string("/proc/meminfo")?;
    let kibibytes: u64 = field(&memory, "MemTotal")
        .unwrap_or("0")
        .trim_end_matches(" kB")
        .parse()?;
    let system = fs::read_to_string("/proc/sys/kernel/osrelease")?;
    let load = fs::read_to_string("/proc/loadavg")?;
    let load = load.split(' ').next().unwrap_or("?");
    Ok(format!(
        "{count} × {model}, {} GiB memory, Linux {}; load average {load} before the start",
        kibibytes >> 20,
        system.trim()
    ))
}
