// Aladin Lite, by CDS: fetched from there when a reader asks for it, never part of this program. What we use of its interface
// (https://cds-astro.github.io/aladin-lite).

/** A version that stays as it is. The policy in `crates/pitt/src/http/auth/headers.rs` names the same. */
const SCRIPT = 'https://aladin.cds.unistra.fr/AladinLite/api/v3/3.8.2/aladin.js';

/** Something marked. */
export interface Source {
  data?: { id?: unknown };
}

export interface Catalog {
  addSources(sources: Source[]): void;
}

export interface Aladin {
  getRaDec(): [number, number];
  getFov(): [number, number];
  gotoRaDec(ra: number, dec: number): void;
  setFoV(degrees: number): void;
  setBaseImageLayer(survey: object): void;
  addCatalog(catalog: Catalog): void;
  on(event: 'positionChanged' | 'zoomChanged' | 'objectClicked', run: (what: Source | null) => void): void;
}

export interface Library {
  init: Promise<void>;
  aladin(place: HTMLElement, options: Record<string, unknown>): Aladin;
  HiPS(url: string, options: Record<string, unknown>): object;
  catalog(options: Record<string, unknown>): Catalog;
  source(ra: number, dec: number, data: { id: string }): Source;
}

/** Fetches the viewer's script; fails when it does not come. */
export function fetchAladin(): Promise<Library> {
  return new Promise((done, failed) => {
    const script = document.createElement('script');
    script.src = SCRIPT;
    script.onload = () => done((window as unknown as { A: Library }).A);
    script.onerror = () => failed(new Error('no script'));
    document.head.append(script);
  });
}
