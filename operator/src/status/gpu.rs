//! Whether models are where they were meant to be.

use corral_proxy::status::LoadedModel;

use super::Known;
use super::verdict::Verdict;
use crate::crd::OllamaService;

/// A model that computes on the CPU although a GPU was asked for, which Ollama does without a word when it can use none.
/// One that is only partly in GPU memory is larger than that, which is what was asked for.
pub(super) fn fallback(service: &OllamaService, known: &Known<'_>) -> Option<Verdict> {
    service.spec.gpu.as_ref()?;
    let loaded = known.replicas.iter().flat_map(|replica| {
        let status = replica.answer.as_ref().ok();
        let loaded = status.map(|status| status.loaded.as_slice());
        loaded
            .unwrap_or_default()
            .iter()
            .map(|model| (replica.pod.as_str(), model))
    });
    let (pod, LoadedModel { name, .. }) = loaded
        .into_iter()
        .find(|(_, model)| model.size > 0 && model.size_vram == 0)?;
    Some(Verdict::no(
        "CPUFallback",
        format!(
            "Model {name} computes on the CPU in Pod {pod} although spec.gpu asks for a GPU: Ollama found none that it can \
             use, or a client asked for num_gpu 0; see: kubectl logs {pod} -c ollama"
        ),
    ))
}
