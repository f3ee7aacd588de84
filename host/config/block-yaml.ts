export function readBlockYaml(_text: string): { readonly value: unknown } | null {
  return null;
}
