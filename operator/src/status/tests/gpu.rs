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

#[test]
fn models_that_do_not_stay_in_memory_are_spoken_of() {
    let case = |looks: &[u32]| Case {
        spec: json!({"models": [{"name": "m", "keepLoaded": true}]}),
        replicas: looks
            .iter()
            .map(|displaced| {
                replica(|says| {
                    says.models = model(ModelState::Ready, None);
                    says.models[0].displaced = *displaced;
                })
            })
            .collect(),
        ..Case::default()
    };
    let degraded = |looks: &[u32]| {
        let status = case(looks).status(&OllamaServiceStatus::default(), NOW);
        assert!(status.says("Ready"), "{looks:?}");
        let degraded = status.conditions.into_iter().find(|one| one.type_ == "Degraded");
        let degraded = degraded.unwrap();
        (degraded.reason, degraded.message)
    };
    for looks in [&[0][..], &[3], &[2, 3]] {
        assert_eq!(degraded(looks).0, "AsExpected", "{looks:?}");
    }
    for looks in [&[4][..], &[0, 9]] {
        let (reason, message) = degraded(looks);
        assert_eq!(reason, "ModelsDisplaced", "{looks:?}");
        assert!(message.contains("anew: m. Ollama holds"), "{message}");
    }
}
