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

/// At how many looks in a row, half a minute apart, it is no longer by chance that a model is out of memory.
const TOO_OFTEN: u32 = 4;

/// Models that are to be kept in memory and that Ollama unloads for others again and again.
pub(super) fn displaced(known: &Known<'_>) -> Option<Verdict> {
    known.replicas.iter().find_map(|replica| {
        let models = replica.answer.as_ref().ok()?.models.iter();
        let names: Vec<_> = models
            .filter(|model| model.displaced >= TOO_OFTEN)
            .map(|model| model.name.as_str())
            .collect();
        let pod = &replica.pod;
        (!names.is_empty()).then(|| {
            Verdict::no(
                "ModelsDisplaced",
                format!(
                    "Models don't stay in the memory of Pod {pod} although keepLoaded asks for it, and are loaded every half \
                     minute anew: {}. Ollama holds spec.runtime.maxLoadedModels at a time, without it three for each GPU, or \
                     three, and no more than fit; keep fewer loaded, or let it hold more",
                    names.join(", ")
                ),
            )
        })
    })
}
