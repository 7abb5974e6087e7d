//! What benchmarks share: the machine, processes' time and memory, a few statistics, pictures.

pub mod machine;
pub mod plot;
pub mod process;
pub mod statistics;
pub mod table;
