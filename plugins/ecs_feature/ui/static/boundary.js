/** Our own error boundary: an error thrown in render would otherwise take Airflow's whole page. */

const React = globalThis.React;

/** @param {any} View a component @returns {any} the component, with its errors shown in one line */
export function guarded(View) {
  class Boundary extends React.Component {
    /** @param {any} props */
    constructor(props) {
      super(props);
      /** @type {{error: any}} */
      this.state = { error: null };
    }

    /** @param {unknown} error */
    static getDerivedStateFromError(error) {
      return { error };
    }

    render() {
      if (!this.state.error) return React.createElement(View, this.props);
      return React.createElement(
        "div",
        { className: "ecsf-root", role: "alert" },
        `This view met an error: ${String(this.state.error?.message ?? this.state.error)}. Reload the page; if it stays, report it.`,
      );
    }
  }
  return Boundary;
}
