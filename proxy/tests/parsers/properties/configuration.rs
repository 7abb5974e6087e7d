//! The configuration: whatever stands in the file, there is an answer, and what is read is what would be written.

use corral_proxy::config::Config;
use corral_proxy::config::validate::validate;

/// A file.
pub(crate) fn check(data: &[u8]) {
    let Ok(config) = serde_yaml::from_slice::<Config>(data) else {
        return;
    };
    if let Err(invalid) = validate(&config) {
        assert!(!invalid.field.is_empty(), "{invalid:?}");
    }
    let written = serde_yaml::to_string(&config).expect("what was read can be written");
    let read = serde_yaml::from_str::<Config>(&written);
    assert_eq!(read.ok().as_ref(), Some(&config), "{written}");
}
