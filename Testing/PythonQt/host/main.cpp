// A Qt application with PythonQt in it that runs a Python script, as Slicer does: pythonqt-host SCRIPT [ARGUMENTS]

#include <PythonQtPythonInclude.h>

#include "wrappers.h"

#include <PythonQt.h>
#include <PythonQtCppWrapperFactory.h>
#include <PythonQt_QtAll.h>

#include <cstdio>
#include <unistd.h>

// Pointers to VTK's objects become their Python objects and back, as CTK's factory does with VTK's own functions.
class VtkPointers : public PythonQtForeignWrapperFactory
{
public:
  PyObject* wrap(const QByteArray& className, void* pointer) override
  {
    if (!className.startsWith("vtk"))
      return nullptr;
    if (!pointer)
      Py_RETURN_NONE;
    return called("object_at", Py_BuildValue("(K)", reinterpret_cast<unsigned long long>(pointer)));
  }

  void* unwrap(const QByteArray& className, PyObject* object) override
  {
    if (!className.startsWith("vtk"))
      return nullptr;
    PyObject* address = called("address_of", Py_BuildValue("(Os)", object, className.constData()));
    void* pointer = address ? PyLong_AsVoidPtr(address) : nullptr;
    Py_XDECREF(address);
    return pointer;
  }

private:
  static PyObject* called(const char* function, PyObject* arguments)
  {
    PyObject* module = PyImport_ImportModule("pythonqt_host.vtk_pointers");
    PyObject* callable = module ? PyObject_GetAttrString(module, function) : nullptr;
    PyObject* result = callable ? PyObject_CallObject(callable, arguments) : nullptr;
    if (!result)
      PyErr_Print();
    Py_XDECREF(callable);
    Py_XDECREF(module);
    Py_XDECREF(arguments);
    return result;
  }
};

template <class Wrapper> QObject* made()
{
  return new Wrapper;
}

int main(int argc, char** argv)
{
  if (argc < 2)
  {
    std::fprintf(stderr, "usage: pythonqt-host SCRIPT [ARGUMENTS]\n");
    return 2;
  }
  QApplication application(argc, argv);
  PythonQt::init(0);
  PythonQt_QtAll::init();
  PythonQt* python = PythonQt::self();
  python->addWrapperFactory(new VtkPointers);
  qRegisterMetaType<vtkMRMLNode*>("vtkMRMLNode*");
  qRegisterMetaType<vtkMRMLScene*>("vtkMRMLScene*");
  python->registerClass(&ctkCollapsibleButton::staticMetaObject, "CTKWidgets", made<Wrap_ctkCollapsibleButton>);
  python->registerClass(&ctkRangeWidget::staticMetaObject, "CTKWidgets", made<Wrap_ctkRangeWidget>);
  python->registerClass(&qMRMLWidget::staticMetaObject, "Host", made<Wrap_qMRMLWidget>);
  python->registerClass(&qMRMLNodeComboBox::staticMetaObject, "Host", made<Wrap_qMRMLNodeComboBox>);
  python->registerClass(&qMRMLSegmentsTableView::staticMetaObject, "Host", made<Wrap_qMRMLSegmentsTableView>);
  python->registerClass(&HostUiLoader::staticMetaObject, "Host", made<Wrap_HostUiLoader>);
  python->registerClass(&Hand::staticMetaObject, "Host", made<Wrap_Hand>);
  python->registerClass(&Notifier::staticMetaObject, "Host");

  QVector<wchar_t*> arguments;
  for (int i = 1; i < argc; ++i)
    arguments << Py_DecodeLocale(argv[i], nullptr);
  PySys_SetArgvEx(arguments.size(), arguments.data(), 1);
  FILE* script = std::fopen(argv[1], "r");
  if (!script)
  {
    std::perror(argv[1]);
    return 2;
  }
  const int failed = PyRun_SimpleFileEx(script, argv[1], 1);
  std::fflush(stdout);
  _exit(failed ? 1 : 0); // MRML crashes when its scene is destroyed
}
