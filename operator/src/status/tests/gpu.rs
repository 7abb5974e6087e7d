//! What the conditions say of models that are not in GPU memory.

use corral_proxy::status::LoadedModel;

use super::*;

fn loaded(size_vram: u64) -> Vec<Replica> {
    vec![replica(|says| {
        says.loaded = vec![LoadedModel {
            name: "m".to_owned(),
            size: 100,
            size_vram,
        }];
    })]
}

#[test]
fn a_model_on_the_cpu_is_noticed_where_a_gpu_was_asked_for() {
    let well = "Ready=True/Ready Available=True/ReplicasReady CredentialsSynced=True/InForce ModelsReady=True/NoneAsked \
                Degraded=False/AsExpected";
    let fallback = "Ready=True/Ready Available=True/ReplicasReady CredentialsSynced=True/InForce \
                    ModelsReady=True/NoneAsked Degraded=True/CPUFallback";
    let case = |gpu: bool, size_vram| Case {
        spec: if gpu { json!({"gpu": {}}) } else { json!({}) },
        replicas: loaded(size_vram),
        ..Case::default()
    };
    check([
        ("on the GPU", case(true, 100), well),
        ("partly on the GPU", case(true, 40), well),
        ("on the CPU", case(true, 0), fallback),
        ("on the CPU, as was asked for", case(false, 0), well),
    ]);
}
