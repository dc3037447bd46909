//! Panics in a module that is compiled without unwinding.
//!
//! A panic ends in a trap whatever it says: nobody reads its text, which goes to a standard error that WebAssembly has
//! not. The functions that put it together are cut off here, and wasm-opt drops what they alone needed.

use walrus::{FunctionBuilder, FunctionId, FunctionKind, Module};

/// What a panic enters first, by parts of names in both manglings: they never return.
const ENTRIES: &[&str] = &[
    "4core9panicking",
    "3std9panicking",
    "17rust_begin_unwind",
    "10rust_panic",
    "16slice_index_fail",
    "16slice_error_fail",
    "17len_mismatch_fail",
    "22panic_already_borrowed",
    "30panic_already_mutably_borrowed",
    "22panic_on_ord_violation",
    "13assert_failed",
    "6option13unwrap_failed",
    "6option13expect_failed",
    "6result13unwrap_failed",
    "7raw_vec12handle_error",
    "7raw_vec17capacity_overflow",
    "18handle_alloc_error",
    "8rust_oom",
];

/// Makes each function that begins a panic trap at once. An error if there is none: the names are not what they were.
pub(crate) fn trap(module: &mut Module) -> Result<(), String> {
    let found: Vec<FunctionId> = module
        .funcs
        .iter_local()
        .map(|(id, _)| id)
        .filter(|id| {
            let name = module.funcs.get(*id).name.as_deref().unwrap_or_default();
            ENTRIES.iter().any(|entry| name.contains(entry))
        })
        .collect();
    if found.is_empty() {
        return Err("no function begins a panic: its names are missing, or not what they were".to_owned());
    }
    for id in found {
        let kind = module.types.get(module.funcs.get(id).ty());
        let (parameters, results) = (kind.params().to_vec(), kind.results().to_vec());
        let mut builder = FunctionBuilder::new(&mut module.types, &parameters, &results);
        builder.func_body().unreachable();
        let arguments = parameters.iter().map(|kind| module.locals.add(*kind)).collect();
        let body = builder.local_func(arguments);
        module.funcs.get_mut(id).kind = FunctionKind::Local(body);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use walrus::{LocalFunction, ValType, ir::Instr};

    /// A module with one function of this name, which returns its argument.
    fn module_of(name: &str) -> Module {
        let mut module = Module::default();
        let argument = module.locals.add(ValType::I32);
        let mut builder = FunctionBuilder::new(&mut module.types, &[ValType::I32], &[ValType::I32]);
        builder.name(name.to_owned()).func_body().local_get(argument);
        builder.finish(vec![argument], &mut module.funcs);
        module
    }

    fn body(module: &Module) -> &LocalFunction {
        module.funcs.iter_local().next().expect("there is one function").1
    }

    #[test]
    fn what_begins_a_panic_traps() {
        for name in ["_RNvNtCsgXGp5Oqx2Ny_4core9panicking9panic_fmt", "_ZN4core6option13unwrap_failed17h0E"] {
            let mut module = module_of(name);
            trap(&mut module).expect("the name is found");
            let body = body(&module);
            let instructions = &body.block(body.entry_block()).instrs;
            assert!(matches!(instructions[..], [(Instr::Unreachable(_), _)]), "{name}: {instructions:?}");
        }
    }

    #[test]
    fn a_module_without_panics_is_an_error() {
        let mut module = module_of("_ZN12keyrail_core6router5route17h0E");
        assert!(trap(&mut module).unwrap_err().contains("names"));
        assert_eq!(body(&module).block(body(&module).entry_block()).instrs.len(), 1);
    }
}
