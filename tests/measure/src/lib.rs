//! What benchmarks share: the machine, processes' time and memory, a few statistics, pictures, reports.

pub mod goal;
pub mod machine;
pub mod plot;
pub mod process;
pub mod report;
pub mod statistics;
pub mod table;
